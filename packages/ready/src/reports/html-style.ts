/** The style of the HTML report. It follows the reader's choice of light or dark, and fits a phone. */
export const htmlStyle = `
:root { color-scheme: light dark; --back: #f6f7f9; --card: #fff; --text: #1b1f27; --soft: #5d6675; --line: #e1e5eb; --shade: #f0f2f5;
  --pass: #157347; --fail: #c02636; --error: #8a34b5; --warn: #8f5e00; --none: #7b8493; --accent: #2457d6; }
@media (prefers-color-scheme: dark) { :root { --back: #11141a; --card: #191d25; --text: #e7eaf0; --soft: #9aa4b5; --line: #2b313c; --shade: #222834;
  --pass: #4cc38a; --fail: #ff7a85; --error: #cf9bf0; --warn: #e6b450; --none: #7f8a9c; --accent: #8fb0ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: anywhere; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; } h3 { font-size: 1rem; margin: 1.25rem 0 0; }
code { font: .92em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.version { color: var(--soft); font-weight: 400; }
.brand { color: var(--soft); letter-spacing: .06em; font-size: .8rem; text-transform: uppercase; font-weight: 600; margin-bottom: .35rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.25rem; }
.head { display: flex; gap: 1rem; justify-content: space-between; align-items: flex-start; flex-wrap: wrap; border-top: 4px solid var(--tone); }
.verdict { color: var(--tone); border: 2px solid currentColor; border-radius: 999px; padding: .3rem 1.1rem; font-weight: 700; font-size: 1.05rem; }
.facts { flex-basis: 100%; display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .75rem 1.5rem; margin: 0; }
.facts dt { color: var(--soft); font-size: .8rem; } .facts dd { margin: 0; } .facts .wide { grid-column: 1 / -1; }
.success, .pass { --tone: var(--pass); } .failure, .fail { --tone: var(--fail); } .error { --tone: var(--error); }
.partial, .skipped, .waived { --tone: var(--warn); } .not-applicable { --tone: var(--none); }
.tone { color: var(--tone); }
.bar { display: flex; height: 10px; border-radius: 5px; overflow: hidden; background: var(--shade); margin: .75rem 0; gap: 2px; }
.bar span { background: var(--tone); min-width: 4px; }
.legend { display: flex; flex-wrap: wrap; gap: .35rem 1.1rem; color: var(--soft); font-size: .9rem; padding: 0; margin: 0; list-style: none; }
.legend b { color: var(--tone); }
.profiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(11.5rem, 1fr)); gap: .6rem; padding: 0; margin: 0; list-style: none; }
.profiles li { background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--tone); border-radius: 8px; padding: .55rem .8rem; }
.profiles small { color: var(--soft); display: block; }
.filter { display: flex; flex-wrap: wrap; gap: .4rem; margin: 1.25rem 0 .75rem; border: 0; padding: 0; }
.filter legend { float: left; padding: .3rem .4rem .3rem 0; color: var(--soft); font-size: .9rem; }
.filter label { border: 1px solid var(--line); background: var(--card); border-radius: 999px; padding: .3rem .85rem; cursor: pointer; font-size: .9rem; }
.filter input { position: absolute; opacity: 0; } .filter label:has(:checked) { border-color: var(--accent); color: var(--accent); font-weight: 600; }
.filter label:has(:focus-visible) { outline: 2px solid var(--accent); outline-offset: 2px; }
section:has([value="open"]:checked) details:is(.pass, .not-applicable), section:has([value="applies"]:checked) details.not-applicable { display: none; }
.rows { background: var(--card); border: 1px solid var(--line); border-radius: 12px; overflow: hidden; }
.rows details + details { border-top: 1px solid var(--line); }
summary { display: grid; grid-template-columns: 7.2rem 1fr auto; gap: .1rem .8rem; padding: .55rem 1rem; cursor: pointer; list-style: none; align-items: baseline; }
summary::-webkit-details-marker { display: none; } summary:hover { background: var(--shade); }
summary:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px; }
summary .mark { color: var(--tone); font-weight: 600; font-size: .9rem; white-space: nowrap; } summary time { color: var(--soft); font-size: .8rem; white-space: nowrap; }
summary .what { color: var(--soft); font-size: .92rem; display: block; }
.more { padding: .1rem 1rem 1rem calc(8rem + 1rem); display: grid; gap: .5rem; font-size: .92rem; }
.more p { margin: 0; } .more .said { border-left: 3px solid var(--tone); padding-left: .7rem; white-space: pre-wrap; } .more .clause { color: var(--soft); }
.notes { padding-left: 1.2rem; } footer { color: var(--soft); font-size: .85rem; margin-top: 3rem; }
@media (max-width: 40rem) { main { padding: 1rem .75rem 3rem; } summary { grid-template-columns: 1fr auto; } summary .name { grid-column: 1 / -1; grid-row: 2; } .more { padding-left: 1rem; } }
@media print { .filter { display: none; } }
`;
