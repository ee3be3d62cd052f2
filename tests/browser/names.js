// What is wrong for those who do not see the page: a list of sentences. Evaluated by test_studio_keyboard.py.
() => {
  const NAMED = [
    "button, a[href], input, select, textarea, summary, dialog[open], canvas[tabindex]",
    "[role=tab], [role=slider], [role=listbox], [role=grid], [role=dialog], [role=group], [role=radiogroup], [role=region]",
  ].join();
  const byIds = (ids) => ids.split(" ").map((id) => document.getElementById(id)?.textContent ?? "");
  // What a screen reader would say of an element, as far as this page makes use of the ways there are.
  const name = (element) =>
    element.getAttribute("aria-label") ||
    byIds(element.getAttribute("aria-labelledby") ?? "").join(" ").trim() ||
    [...(element.labels ?? [])].map((label) => label.textContent).join(" ").trim() ||
    (element.matches("button, a, summary, [role=tab], [role=option], [role=radio]") ? element.textContent.trim() : "");
  const shown = (element) => element.checkVisibility() && !element.closest("[aria-hidden=true]");
  const all = (selector) => [...document.querySelectorAll(selector)];
  const problems = [];
  for (const element of all(NAMED)) {
    if (shown(element) && !name(element)) problems.push(`no name: ${element.outerHTML.slice(0, 160)}`);
  }
  const ids = all("[id]").map((element) => element.id);
  for (const id of new Set(ids)) if (ids.filter((one) => one === id).length > 1) problems.push(`twice the id ${id}`);
  for (const kind of ["aria-controls", "aria-labelledby", "aria-activedescendant"]) {
    for (const element of all(`[${kind}]`)) {
      for (const id of element.getAttribute(kind).split(" ")) {
        if (shown(element) && !document.getElementById(id)) problems.push(`${kind} of nothing: ${id}`);
      }
    }
  }
  const inside = { tab: "tablist", option: "listbox", row: "grid", gridcell: "row", radio: "radiogroup" };
  for (const [role, parent] of Object.entries(inside)) {
    for (const element of all(`[role=${role}]`)) {
      if (shown(element) && !element.closest(`[role=${parent}]`)) problems.push(`${role} outside of a ${parent}`);
    }
  }
  for (const element of all("img")) if (!element.hasAttribute("alt")) problems.push("img without alt");
  for (const element of all("[tabindex]")) if (element.tabIndex > 0) problems.push("a tabindex above 0");
  if (!document.documentElement.lang) problems.push("no language");
  if (!document.title) problems.push("no title");
  if (all("main").length !== 1) problems.push("not one main");
  return problems;
}
