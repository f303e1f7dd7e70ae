"use strict";
// Keyboard help and shortcuts. Everything here also works without script, more slowly.
(() => {
  const typing = (node) => node instanceof HTMLElement && (node.isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(node.tagName));
  const help = document.getElementById("keys");
  const opener = document.querySelector("[data-open=keys]");
  if (help && opener) {
    opener.hidden = false;
    opener.addEventListener("click", () => help.showModal());
  }
  let waitingForPlace = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (waitingForPlace) {
      waitingForPlace = false;
      // The mark leads to the start page, wherever the site is mounted.
      const start = document.querySelector("a.brand")?.href ?? "/";
      const saved = document.querySelector(`[data-saved="${CSS.escape(event.key)}"]`);
      if (saved) { saved.click(); return; }
      const place = { h: "", s: "studies/" }[event.key];
      if (place !== undefined) window.location.assign(start + place);
      return;
    }
    if (event.key === "?" && help) { event.preventDefault(); help.showModal(); }
    if (event.key === "/") {
      const field = document.querySelector("input[type=search]");
      if (field) { event.preventDefault(); field.focus(); field.select(); }
    }
    if (event.key === "g") {
      waitingForPlace = true;
      window.setTimeout(() => { waitingForPlace = false; }, 1200);
    }
  });
})();
