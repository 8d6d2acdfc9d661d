import type { PortStatistics } from "@vdc-os/core/network/v1";
import { formatByteSize } from "../terminal/byte-size.ts";
import { printable } from "../terminal/printable.ts";
import type { Style } from "../terminal/style.ts";
import { formatTable } from "../terminal/table.ts";
import { dropReasonText } from "./drop-reason-text.ts";

/** A port's counters as a table that adds up: what was sent and got, and what became of it, each reason for a drop on a line with what it means. */
export function portCountersText(statistics: PortStatistics, style: Style): string {
  const { framesIn, bytesIn, framesForwarded, framesHeld, dropsIn, framesOut, bytesOut, dropsOut } = statistics;
  const rows = [
    [style.bold("sent by the VM"), count(framesIn), formatByteSize(Number(bytesIn))],
    ["  forwarded", count(framesForwarded)],
    ...(framesHeld === "0" ? [] : [["  held by the gate", style.yellow(count(framesHeld))]]),
    ...dropRows(dropsIn, style),
    [style.bold("got by the VM"), count(framesOut), formatByteSize(Number(bytesOut))],
    ...dropRows(dropsOut, style),
  ];
  return formatTable(
    [
      { title: "COUNTED" },
      { title: "FRAMES", align: "right" },
      { title: "BYTES", align: "right" },
      { title: rows.some((row) => row.length > 3) ? "WHY" : "" },
    ],
    rows,
    style.dim,
  );
}

function dropRows(drops: PortStatistics["dropsIn"], style: Style): string[][] {
  return Object.entries(drops)
    .filter(([, frames]) => frames !== "0")
    .toSorted(([, a], [, b]) => (BigInt(a) === BigInt(b) ? 0 : BigInt(a) < BigInt(b) ? 1 : -1))
    .map(([reason, frames]) => [
      `  dropped, ${printable(reason)}`,
      style.yellow(count(frames)),
      "",
      style.dim(dropReasonText(reason) ?? ""),
    ]);
}

/** A number of frames, in groups of three digits. */
function count(frames: string): string {
  return BigInt(frames).toLocaleString("en");
}
