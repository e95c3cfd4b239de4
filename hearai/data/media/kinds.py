"""What kind of file this is, by its first bytes, and what to do about one that is not a video."""

import re
from dataclasses import dataclass
from pathlib import Path

HEAD = 4096
"""Bytes that are read to recognise a file."""


@dataclass(frozen=True)
class Kind:
    """A kind of file."""

    name: str
    """With an article, as in `it is NAME`."""
    endings: tuple[str, ...] = ()
    """Of a container of video, the extensions that it usually has; () = no container of video."""
    advice: str = "copy or download it again"
    """What to do if a video was expected."""

    @property
    def is_container(self) -> bool:
        """Whether it may contain video."""
        return bool(self.endings)


_UNPACK = "unpack it, and give the videos that it contains"
_IMAGE = "replace it with the video; frames of a clip belong in a folder NAME with NAME_0.jpg, NAME_1.jpg, ..."
_VIDEO = "replace it with the video"

MP4 = Kind("an MP4 video", (".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".f4v", ".mp4v"))
MATROSKA = Kind("a Matroska or WebM video", (".mkv", ".webm", ".mk3d"))
AVI = Kind("an AVI video", (".avi", ".divx"))
FLASH = Kind("a Flash video", (".flv", ".f4v"))
ASF = Kind("a Windows Media video", (".wmv", ".asf"))
OGG = Kind("an Ogg video", (".ogv", ".ogg", ".ogx", ".ogm"))
PROGRAM_STREAM = Kind("an MPEG program stream", (".mpg", ".mpeg", ".mpe", ".vob", ".m2p", ".mod"))
TRANSPORT_STREAM = Kind("an MPEG transport stream", (".ts", ".mts", ".m2ts", ".m2t", ".tod"))
MPEG_VIDEO = Kind("an MPEG video stream", (".mpg", ".mpeg", ".m1v", ".m2v", ".mpv"))
MXF = Kind("an MXF video", (".mxf",))
REAL = Kind("a RealMedia video", (".rm", ".rmvb"))
DV = Kind("a DV video", (".dv", ".dif"))
IVF = Kind("an IVF video", (".ivf",))
GIF = Kind("a GIF image", (".gif",), _IMAGE)
EMPTY = Kind("an empty file")
HTML = Kind(
    "a web page (HTML)",
    advice="the download was answered with a page, for instance to log in; open the address in a browser and "
    "download the video itself",
)
LFS_POINTER = Kind("a Git LFS pointer", advice="run `git lfs pull` in its repository")
PLAYLIST = Kind("a playlist, which only names other files", advice="download the video that it names")
SOUND = Kind("a sound file", advice=_VIDEO)
UNKNOWN = Kind("of an unknown kind")

_SIGNATURES: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"\x1a\x45\xdf\xa3", MATROSKA),
    (8, b"AVI", AVI),
    (8, b"WAVE", SOUND),
    (8, b"WEBP", Kind("a WebP image", advice=_IMAGE)),
    (0, b"FLV", FLASH),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", ASF),
    (0, b"OggS", OGG),
    (0, b"\x00\x00\x01\xba", PROGRAM_STREAM),
    (0, b"\x00\x00\x01\xb3", MPEG_VIDEO),
    (0, b"\x06\x0e\x2b\x34\x02\x05\x01\x01", MXF),
    (0, b".RMF", REAL),
    (0, b"\x1f\x07\x00", DV),
    (0, b"DKIF", IVF),
    (0, b"GIF8", GIF),
    (0, b"\xff\xd8\xff", Kind("a JPEG image", advice=_IMAGE)),
    (0, b"\x89PNG", Kind("a PNG image", advice=_IMAGE)),
    (0, b"BM", Kind("a BMP image", advice=_IMAGE)),
    (0, b"II*\0", Kind("a TIFF image", advice=_IMAGE)),
    (0, b"MM\0*", Kind("a TIFF image", advice=_IMAGE)),
    (0, b"PK\x03\x04", Kind("a zip archive", advice=_UNPACK)),
    (0, b"PK\x05\x06", Kind("an empty zip archive")),
    (0, b"Rar!", Kind("a RAR archive", advice=_UNPACK)),
    (0, b"7z\xbc\xaf\x27\x1c", Kind("a 7-Zip archive", advice=_UNPACK)),
    (0, b"\x1f\x8b", Kind("a gzip archive", advice=_UNPACK)),
    (0, b"\xfd7zXZ", Kind("an xz archive", advice=_UNPACK)),
    (0, b"BZh", Kind("a bzip2 archive", advice=_UNPACK)),
    (257, b"ustar", Kind("a tar archive", advice=_UNPACK)),
    (0, b"%PDF", Kind("a PDF document", advice=_VIDEO)),
    (0, b"ID3", SOUND),
    (0, b"fLaC", SOUND),
    (0, b"\x7fELF", Kind("a program", advice=_VIDEO)),
    (0, b"MZ", Kind("a program", advice=_VIDEO)),
)
_BRANDS = {
    b"M4A ": SOUND,
    b"M4B ": SOUND,
    **dict.fromkeys((b"heic", b"heix", b"mif1"), Kind("a HEIC image", advice=_IMAGE)),
}
_BRANDS[b"avif"] = Kind("an AVIF image", advice=_IMAGE)
_BOXES = (b"ftyp", b"moov", b"moof", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp")
"""Boxes that an mp4 or mov file can begin with."""


def kind_of(path: Path) -> Kind:
    """The kind of a file, whatever its extension.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head:
        return EMPTY
    if head[4:8] in _BOXES:
        return _BRANDS.get(head[8:12], MP4) if head[4:8] == b"ftyp" else MP4
    for start, signature, kind in _SIGNATURES:
        if head[start : start + len(signature)] == signature:
            return kind
    if any(len(head) > first + 188 * 2 and head[first] == head[first + step] == 0x47 for first, step in _TS_SYNC):
        return TRANSPORT_STREAM
    return _kind_of_text(head)


_TS_SYNC = ((0, 188), (4, 192))
"""(position of the first sync byte of a transport stream, distance to the next): broadcast, and Blu-ray or AVCHD."""


def _kind_of_text(head: bytes) -> Kind:
    text = _decoded(head)
    if text is None:
        return UNKNOWN
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith("version https://git-lfs"):
        return LFS_POINTER
    if start.startswith("#EXTM3U"):
        return PLAYLIST
    if re.search(r"<(!doctype\s+html|html|head|body)\b", start, re.IGNORECASE):
        return HTML
    first = " ".join(start.split())[:40]
    return Kind(f"a text file that begins with {first!r}", advice="open the text, which may give the reason")


def _decoded(head: bytes) -> str | None:
    """The text of a text file's first bytes, None for binary data."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", errors="ignore")
    if any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head):
        return None
    try:
        return head.decode("utf-8", errors="ignore" if len(head) == HEAD else "strict")  # cut within a character
    except UnicodeDecodeError:
        return head.decode("latin-1") if sum(byte > 126 for byte in head) < len(head) / 4 else None
