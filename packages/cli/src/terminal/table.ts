import { stripVTControlCharacters } from "node:util";

/** A column of a table. */
export interface Column {
  readonly title: string;
  /** Defaults to `left`; numbers and sizes are easier compared on the right. */
  readonly align?: "left" | "right";
}

/** A table as text: columns as wide as their widest cell, two blanks between them. Marks of colour take no width. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  mark: (title: string) => string = (title) => title,
): string {
  const width = (text: string): number => [...stripVTControlCharacters(text)].length;
  const widths = columns.map(({ title }, at) => Math.max(width(title), ...rows.map((row) => width(row[at] ?? ""))));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) => {
        const blanks = " ".repeat(Math.max(0, (widths[at] ?? 0) - width(cell)));
        return columns[at]?.align === "right" ? blanks + cell : cell + blanks;
      })
      .join("  ")
      .trimEnd();
  return [line(columns.map(({ title }) => mark(title))), ...rows.map(line)].join("\n");
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
