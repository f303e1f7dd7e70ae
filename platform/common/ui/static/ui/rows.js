"use strict";
// Lists by keyboard: j and k go from row to row, Enter opens what the focus is on, o its images, x ticks it,
// c compares what is ticked. A row is an element with data-row; its first link that has data-main takes the focus,
// so that Enter, reading aloud and the visible focus are the browser's own.
(() => {
  const busy = (node) => node instanceof HTMLElement && (node.isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(node.tagName));
  const ticking = (node) => node instanceof HTMLInputElement && node.type === "checkbox";
  const rows = () => [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent !== null);
  const current = () => document.activeElement?.closest("[data-row]") ?? null;
  const focus = (row) => {
    (row?.querySelector("[data-main]") ?? row?.querySelector("a, button"))?.focus();
    row?.scrollIntoView({ block: "nearest" });
  };
  const go = (step) => {
    const all = rows();
    const at = all.indexOf(current());
    focus(at < 0 ? all[step > 0 ? 0 : all.length - 1] : all[Math.min(Math.max(at + step, 0), all.length - 1)]);
  };
  const tick = () => {
    const box = current()?.querySelector("input[type=checkbox][data-pick]");
    if (box) { box.checked = !box.checked; box.dispatchEvent(new Event("change", { bubbles: true })); }
  };
  // The bar that compares says how many are ticked, and lets go of the oldest when a third is.
  const picked = [];
  const count = (box) => {
    const bar = document.querySelector("[data-compare]");
    if (!bar) return;
    const at = picked.indexOf(box);
    if (at >= 0) picked.splice(at, 1);
    if (box?.checked) picked.push(box);
    while (picked.length > 2) picked.shift().checked = false;
    const n = document.querySelectorAll("[data-pick]:checked").length;
    bar.dataset.count = String(n);
    bar.querySelector("[data-say]").textContent = bar.dataset[n === 0 ? "none" : n === 1 ? "one" : "two"];
    bar.querySelector("button[data-go]").disabled = n !== 2;
  };
  // A table that is wider than its place is scrolled by keyboard too.
  const reachable = () => document.querySelectorAll(".scroll").forEach((box) => {
    if (box.scrollWidth > box.clientWidth && !box.querySelector("a, button, input, select, [tabindex]")) box.tabIndex = 0;
  });
  reachable();
  window.addEventListener("resize", reachable);
  document.addEventListener("htmx:afterSettle", reachable);
  // A small picture that cannot be drawn leaves the words behind it.
  document.addEventListener("error", (event) => {
    if (event.target instanceof HTMLImageElement && event.target.loading === "lazy") event.target.remove();
  }, true);
  document.addEventListener("change", (event) => {
    if (event.target instanceof HTMLElement && event.target.matches("[data-pick]")) count(event.target);
  });
  document.addEventListener("htmx:afterSettle", () => { picked.length = 0; count(null); });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || (busy(event.target) && !ticking(event.target))) return;
    if (document.querySelector("dialog[open]")) return;
    const act = {
      j: () => go(1),
      k: () => go(-1),
      o: () => current()?.querySelector("[data-images]")?.click(),
      x: tick,
      c: () => document.querySelector("[data-compare] button[data-go]:not(:disabled)")?.click(),
    }[event.key];
    if (act && rows().length) { event.preventDefault(); act(); }
  });
  count(null);
})();
