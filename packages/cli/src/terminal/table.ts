import { stripVTControlCharacters } from "node:util";

/** A column of a table. */
export interface Column {
  readonly title: string;
  /** Defaults to `left`; numbers and sizes are easier compared on the right. */
  readonly align?: "left" | "right";
  /** What gives way where the terminal is too narrow: columns are left out, those with the lowest number first. By default a column stays. */
  readonly leftOut?: number;
  /**
   * How else it gives way, in this order: its texts go below their rows, on lines of their own; they go on in further lines of the column; they are cut. By
   * default they do none of that.
   */
  readonly narrow?: "below" | "wrapped" | "cut";
}

/** Options of {@link formatTable}. */
export interface TableOptions {
  readonly mark?: (title: string) => string;
  /** How many characters a line may have. By default as many as it needs. */
  readonly width?: number | undefined;
}

/** A wrapped or cut column has so many characters at least, unless all of its text is shorter. */
const narrowest = { below: 0, wrapped: 20, cut: 12 } as const;

/**
 * A table as text: columns as wide as their widest cell, two blanks between them. Marks of colour take no width. Where the lines are too long, columns give
 * way as they say.
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  options: TableOptions | ((title: string) => string) = {},
): string {
  const { mark = (title) => title, width = Number.POSITIVE_INFINITY }: TableOptions =
    typeof options === "function" ? { mark: options } : options;
  const all = columns.map(({ title }, at) => Math.max(widthOf(title), ...rows.map((row) => widthOf(row[at] ?? ""))));
  const { shown, below, widths } = fit(columns, all, width);
  const line = (cells: readonly string[]): string =>
    shown
      .map((at) => {
        const cell = cells[at] ?? "";
        const blanks = " ".repeat(Math.max(0, (widths[at] ?? 0) - widthOf(cell)));
        return columns[at]?.align === "right" ? blanks + cell : cell + blanks;
      })
      .join("  ")
      .trimEnd();
  const lines = (cells: readonly string[]): readonly string[] => {
    const broken = cells.map((cell, at) => narrowed(cell, widths[at] ?? 0, columns[at]?.narrow));
    const count = Math.max(1, ...shown.map((at) => broken[at]?.length ?? 0));
    return [
      ...Array.from({ length: count }, (_, nth) => line(broken.map((each) => each[nth] ?? ""))),
      ...below.flatMap((at) => wrapped(cells[at] ?? "", width - 2)).map((text) => `  ${text}`.trimEnd()),
    ].filter((text, nth) => nth === 0 || text !== "");
  };
  return [line(columns.map(({ title }) => mark(title))), ...rows.flatMap(lines)].join("\n");
}

/** Which columns are shown, and how wide each of all is. */
function fit(
  columns: readonly Column[],
  all: readonly number[],
  width: number,
): { readonly shown: readonly number[]; readonly below: readonly number[]; readonly widths: readonly number[] } {
  const widths = [...all];
  // What nobody has anything to say in takes no room.
  let shown = columns.map((_, at) => at).filter((at) => (all[at] ?? 0) > 0);
  const excess = (of: readonly number[]): number =>
    shown.reduce((sum, at) => sum + (of[at] ?? 0), 2 * (shown.length - 1)) - width;
  const below = excess(all) > 0 ? shown.filter((at) => columns[at]?.narrow === "below") : [];
  shown = shown.filter((at) => !below.includes(at));
  const least = columns.map(({ title, narrow }, at) =>
    narrow === undefined ? (all[at] ?? 0) : Math.min(all[at] ?? 0, Math.max(narrowest[narrow], widthOf(title))),
  );
  const leaving = columns
    .flatMap(({ leftOut }, at) => (leftOut === undefined ? [] : [{ at, leftOut }]))
    .sort((a, b) => a.leftOut - b.leftOut);
  for (const { at } of leaving) if (excess(least) > 0) shown = shown.filter((each) => each !== at);
  for (const kind of ["wrapped", "cut"] as const) {
    for (const at of shown) {
      if (columns[at]?.narrow !== kind) continue;
      widths[at] = Math.max(least[at] ?? 0, (widths[at] ?? 0) - Math.max(0, excess(widths)));
    }
  }
  return { shown, below, widths };
}

/** A cell's lines, in a column of this width. */
function narrowed(cell: string, width: number, narrow: Column["narrow"]): readonly string[] {
  if (widthOf(cell) <= width) return [cell];
  return narrow === "cut" ? [`${start(cell, width - 1)}\u2026`] : wrapped(cell, width);
}

/** A text broken between words. A word that is longer stays whole. */
function wrapped(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let last = "";
  for (const word of text.split(" ")) {
    const longer = last === "" ? word : `${last} ${word}`;
    if (last !== "" && widthOf(longer) > width) {
      lines.push(last);
      last = word;
    } else last = longer;
  }
  return [...lines, last];
}

/** The beginning of a text; marks of colour stay, wherever they are. */
function start(text: string, width: number): string {
  let left = width;
  return text
    .split("\u001b")
    .map((part, nth) => {
      const from = nth === 0 ? 0 : part.indexOf("m") + 1;
      const said = [...part.slice(from)].slice(0, left);
      left -= said.length;
      return `${nth === 0 ? "" : "\u001b"}${part.slice(0, from)}${said.join("")}`;
    })
    .join("");
}

function widthOf(text: string): number {
  return [...stripVTControlCharacters(text)].length;
}

/** Facts as text: one on a line, the names as wide as the widest. */
export function formatFacts(
  facts: readonly (readonly [name: string, value: string | undefined])[],
  mark: (name: string) => string = (name) => name,
): string {
  const known = facts.filter((fact): fact is readonly [string, string] => fact[1] !== undefined);
  const widest = Math.max(0, ...known.map(([name]) => name.length));
  return known.map(([name, value]) => `${mark(name.padEnd(widest))}  ${value}`.trimEnd()).join("\n");
}
