// Replaces the content of the page every few seconds, unless something is selected, for example to be copied.
"use strict";
setInterval(async () => {
  if (document.hidden || !getSelection().isCollapsed || document.activeElement.closest?.("main")) return;
  const note = document.getElementById("connection");
  try {
    const answer = await fetch(location.pathname, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.querySelector("main").replaceWith(page.querySelector("main"));
    note.textContent = "";
  } catch {
    note.textContent = "The dashboard does not answer: it was stopped. What is shown is old.";
  }
}, 5000);
