import { formatByteSize } from "../terminal/byte-size.ts";
import { type AllocationExtent, allocationCells, cellLevel, sumExtents } from "./allocation-cells.ts";
import { coordinate, ellipsis, escapeXml, svgDocument } from "./svg.ts";

/** Options of {@link allocationMapSvg}. */
export interface AllocationMapOptions {
  /** The disk's name. Defaults to `disk`. */
  readonly name?: string;
}

const columns = 64;
const maxRows = 16;
const cell = 11;
const step = cell + 2;
const left = 92;
const top = 62;
const margin = 20;

const levels = [0, 1, 2, 3, 4, "zero"] as const;
type Level = (typeof levels)[number];

const rules: readonly string[] = [
  ".l0 { fill: none; stroke: var(--line); }",
  ".l1 { fill: var(--data); fill-opacity: .3; }",
  ".l2 { fill: var(--data); fill-opacity: .52; }",
  ".l3 { fill: var(--data); fill-opacity: .76; }",
  ".l4 { fill: var(--data); }",
  ".lzero { fill: none; stroke: var(--zero); stroke-width: 1.5; }",
];

/**
 * Where a disk holds data, as a picture: each square stands for a part of the disk, from the left to the right and down, and its shade for how much of that
 * holds data. An outline in another colour is allocated, and known to read as zeroes. Pure.
 */
export function allocationMapSvg(
  extents: readonly AllocationExtent[],
  sizeBytes: number,
  options: AllocationMapOptions = {},
): string {
  const { name = "disk" } = options;
  const { cellBytes, cells } = allocationCells(extents, sizeBytes, columns * maxRows);
  const { dataBytes, zeroBytes } = sumExtents(extents, sizeBytes);
  const rows = Math.ceil(cells.length / columns);
  const percent = sizeBytes === 0 ? 0 : Math.round((dataBytes / sizeBytes) * 100);
  const zeroes = zeroBytes === 0 ? "" : `; ${formatByteSize(zeroBytes)} are allocated and read as zeroes`;
  const summary = `${formatByteSize(dataBytes)} of ${formatByteSize(sizeBytes)} hold data (${percent}%)${zeroes}`;
  const paths = new Map<Level, string[]>(levels.map((level) => [level, []]));
  for (const [index, each] of cells.entries()) {
    const level = cellLevel(each);
    paths.get(level)?.push(square(left + (index % columns) * step, top + Math.floor(index / columns) * step, level));
  }
  const bottom = top + rows * step + 24;
  const body = [
    `<text class="title" x="${margin}" y="30">${escapeXml(ellipsis(name, 60))}</text>`,
    `<text class="muted" x="${margin}" y="48">${escapeXml(summary)}</text>`,
    ...Array.from({ length: rows }, (_, row) => offsetLabel(row, rows, cellBytes)).filter((label) => label !== ""),
    ...[...paths].flatMap(([level, squares]) =>
      squares.length === 0 ? [] : [`<path class="l${level}" d="${squares.join("")}"/>`],
    ),
    legend(bottom, cellBytes, zeroBytes > 0),
  ];
  return svgDocument({
    width: left + columns * step + margin,
    height: bottom + 20,
    title: `Allocation map of ${name}`,
    description: `${summary}. ${inWords(extents, sizeBytes)}`,
    rules,
    body,
  });
}

/** A square, or one that is a little smaller where it is an outline. */
function square(x: number, y: number, level: Level): string {
  const inset = level === 0 ? 0.5 : level === "zero" ? 1 : 0;
  const side = cell - 2 * inset;
  return `M${coordinate(x + inset)} ${coordinate(y + inset)}h${side}v${side}h-${side}z`;
}

/** The offset at which a row begins: of every fourth row, and of all where there are few. */
function offsetLabel(row: number, rows: number, cellBytes: number): string {
  if (rows > 4 && row % 4 !== 0) return "";
  const y = top + row * step + cell - 1;
  return `<text class="muted end" x="${left - 12}" y="${y}">${escapeXml(formatByteSize(row * columns * cellBytes))}</text>`;
}

function legend(y: number, cellBytes: number, zeroes: boolean): string {
  const entries: readonly (readonly [Level, string])[] = [
    [0, "nothing"],
    [1, "up to a quarter"],
    [2, "a half"],
    [3, "not all"],
    [4, "all of it"],
    ...(zeroes ? ([["zero", "known zeroes"]] as const) : []),
  ];
  let x = left;
  const parts: string[] = [];
  for (const [level, text] of entries) {
    parts.push(`<path class="l${level}" d="${square(x, y - 10, level)}"/><text x="${x + 17}" y="${y}">${text}</text>`);
    x += 17 + text.length * 6.4 + 18;
  }
  const right = left + columns * step - 2;
  parts.push(
    `<text class="muted end" x="${right}" y="${y}">a square is ${escapeXml(formatByteSize(cellBytes))}</text>`,
  );
  return parts.join("\n");
}

/** The first runs of data in words, for who can't see the picture. */
function inWords(extents: readonly AllocationExtent[], sizeBytes: number): string {
  const runs = extents.filter(({ zero, offset }) => !zero && offset < sizeBytes);
  if (runs.length === 0) return "No part of it holds data.";
  const shown = runs.slice(0, 8).map(({ offset, length }) => `${formatByteSize(length)} at ${formatByteSize(offset)}`);
  const more = runs.length > shown.length ? `, and ${runs.length - shown.length} more runs` : "";
  return `Data: ${shown.join(", ")}${more}.`;
}
