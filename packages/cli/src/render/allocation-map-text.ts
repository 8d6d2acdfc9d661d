import { formatByteSize, isRoundedByteSize } from "../terminal/byte-size.ts";
import { createStyle, type Style } from "../terminal/style.ts";
import { type AllocationExtent, allocationCells, cellLevel, sumExtents } from "./allocation-cells.ts";

/** Options of {@link allocationMapText}. */
export interface AllocationMapTextOptions {
  readonly name: string;
  readonly capacityBytes: number;
  readonly extents: readonly AllocationExtent[];
  /** The terminal's width. Defaults to 80. */
  readonly columns?: number;
  readonly style?: Style;
}

const maxRows = 16;
const marks = ["·", "░", "▒", "▓", "█"] as const;

/** Where a disk holds data, as blocks: each stands for a part of the disk, and its shade for how much of that holds data. Pure. */
export function allocationMapText(options: AllocationMapTextOptions): string {
  const { name, capacityBytes, extents, columns = 80, style = createStyle(false) } = options;
  const width = columns >= 80 ? 64 : 32;
  const { cellBytes, cells } = allocationCells(extents, capacityBytes, width * maxRows);
  const rows: string[] = [];
  const labels = Array.from({ length: Math.ceil(cells.length / width) }, (_, row) =>
    formatByteSize(row * width * cellBytes),
  );
  // A label that is rounded would be one row's as well as the next one's: those rows have none.
  const offsets = labels.map((label, row) => (isRoundedByteSize(row * width * cellBytes) ? "" : label));
  const gutter = Math.max(...offsets.map((text) => text.length));
  for (const [row, offset] of offsets.entries()) {
    const line = cells.slice(row * width, (row + 1) * width).map((cell) => {
      const level = cellLevel(cell);
      if (level === "zero") return style.yellow("0");
      return level === 0 ? style.dim(marks[0]) : style.cyan(marks[level]);
    });
    rows.push(`${style.dim(offset.padStart(gutter))}  ${line.join("")}`);
  }
  const { dataBytes, zeroBytes } = sumExtents(extents, capacityBytes);
  const percent = capacityBytes === 0 ? 0 : Math.round((dataBytes / capacityBytes) * 100);
  const zeroes = zeroBytes === 0 ? "" : `, ${formatByteSize(zeroBytes)} are known zeroes`;
  const legend = `Each block is ${formatByteSize(cellBytes)}: ${marks[0]} nothing, ${marks.slice(1).join("")} a quarter to all${
    zeroBytes === 0 ? "" : ", 0 known zeroes"
  }`;
  return [
    `${style.bold(name)}: ${formatByteSize(dataBytes)} of ${formatByteSize(capacityBytes)} hold data (${percent}%)${zeroes}`,
    "",
    ...rows,
    "",
    style.dim(legend),
  ].join("\n");
}
