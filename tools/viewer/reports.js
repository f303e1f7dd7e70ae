/*
 * The reports of the studies that are open, in a panel over the viewer. It knows nothing of OHIF but the address of the
 * page, and lives in a shadow tree, so that neither styles the other.
 */
(() => {
  const { root, report, close, failed } = window.imagingReports;
  const style = `
    :host { color-scheme: dark; font: 14px/1.6 Inter, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
    button { font: inherit; min-height: 2.75rem; padding: .3rem 1rem; border-radius: 4px; cursor: pointer;
      border: 1px solid #7b8a93; background: #1a2125; color: #ebe7dc; }
    :focus-visible { outline: 3px solid #f0a266; outline-offset: 2px; }
    .open { position: fixed; right: 3.25rem; bottom: .75rem; z-index: 40; }
    aside { position: fixed; inset: 0 0 0 auto; width: min(27rem, 94vw); z-index: 41; overflow: auto; padding: 1rem;
      background: #12171a; color: #ebe7dc; border-left: 1px solid #333e44; box-sizing: border-box; }
    [hidden] { display: none; }
    header.bar { display: flex; justify-content: space-between; align-items: center; gap: 1rem; }
    h2 { font-size: 1.1rem; margin: 0; } h3 { font-size: 1rem; margin: 1rem 0 .25rem; } h4 { margin: .75rem 0 0; color: #a9b2b7; }
    p { margin: .25rem 0; } a { color: #93c9e9; }
    .prose { white-space: pre-wrap; overflow-wrap: anywhere; } .strong { font-weight: 600; }
    .hint, small { color: #a9b2b7; font-size: .9em; }
    .state { border-radius: 99px; padding: 0 .6em; font-size: .85rem; font-weight: 500; background: #232c31; }
    .good { color: #83d2b2; } .warn { color: #e8c477; } .bad { color: #f5a397; }
    .note { border-left: 4px solid #e8c477; padding: .4rem .75rem; background: #232c31; }
    ins { color: #83d2b2; } del { color: #f5a397; } summary { cursor: pointer; min-height: 2rem; }
    .actions a { display: inline-block; padding: .5rem 0; }
  `;
  const host = document.createElement("div");
  const tree = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(style);
  tree.adoptedStyleSheets = [sheet];
  const make = (name, values, ...children) => {
    const made = Object.assign(document.createElement(name), values);
    made.append(...children);
    return made;
  };
  const opener = make("button", { type: "button", className: "open", textContent: report });
  const closer = make("button", { type: "button", textContent: close });
  const body = make("div", {});
  const panel = make("aside", { hidden: true }, make("header", { className: "bar" }, make("h2", { textContent: report }), closer), body);
  panel.setAttribute("aria-label", report);
  body.setAttribute("aria-live", "polite");
  opener.setAttribute("aria-expanded", "false");
  tree.append(opener, panel);

  const studies = () => (new URLSearchParams(location.search).get("StudyInstanceUIDs") ?? "")
    .split(",").filter(uid => /^[0-9.]{1,64}$/.test(uid));
  const part = async uid => {
    const answer = await fetch(`${root}reports/of/${uid}/`, { credentials: "same-origin" });
    if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
    // What a report says is escaped by the server; scripts would not run from here in any case.
    const section = make("section", {});
    section.innerHTML = await answer.text();
    return section;
  };
  let shown = "";
  const load = async () => {
    const asked = studies();
    if (asked.join() === shown) return;
    shown = asked.join();
    body.replaceChildren("…");
    const parts = await Promise.all(asked.map(uid => part(uid).catch(() => make("p", { className: "note", textContent: failed }))));
    if (asked.join() === shown) body.replaceChildren(...parts);
  };
  const turn = open => {
    panel.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    if (open) { load(); closer.focus(); } else { opener.focus(); }
  };
  opener.addEventListener("click", () => turn(panel.hidden));
  closer.addEventListener("click", () => turn(false));
  // The viewer's keys are for pictures: what is typed here is not for it.
  host.addEventListener("keydown", event => {
    event.stopPropagation();
    if (event.key === "Escape" && !panel.hidden) turn(false);
  });
  const place = () => {
    const any = studies().length > 0;
    opener.hidden = !any;
    if (!any) panel.hidden = true;
    else if (!panel.hidden) load();
  };
  const start = () => { document.body.append(host); place(); setInterval(place, 1000); };
  if (document.body) start(); else document.addEventListener("DOMContentLoaded", start);
})();
