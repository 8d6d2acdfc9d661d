import type { RequirementStatus, SuiteReport, Verdict } from "@vdc-os/ready";

/** How a plugin's certification went, for one of its points. */
export interface CertificateRow {
  readonly plugin: string;
  readonly point: string;
  readonly counts: Readonly<Record<"passed" | "not applicable" | "waived" | "skipped" | "failed", number>>;
  readonly result: Verdict | "not tried";
  readonly seconds: number;
  /** SHA-256 of the certificate's file, in hex. */
  readonly certificate: string;
  readonly note: string;
}

const columns: Readonly<Record<RequirementStatus, keyof CertificateRow["counts"]>> = {
  pass: "passed",
  "not-applicable": "not applicable",
  waived: "waived",
  skipped: "skipped",
  fail: "failed",
  error: "failed",
};

/** From the best to the worst. */
const order: readonly (keyof CertificateRow["counts"])[] = ["not applicable", "passed", "waived", "skipped", "failed"];

/** How many requirements went how. The worst of both transports counts. */
export function countRequirements({ results }: Pick<SuiteReport, "results">): CertificateRow["counts"] {
  const worst = new Map<string, keyof CertificateRow["counts"]>();
  for (const { id, status } of results) {
    const column = columns[status];
    const before = worst.get(id);
    if (before === undefined || order.indexOf(column) > order.indexOf(before)) worst.set(id, column);
  }
  const counts = { passed: 0, "not applicable": 0, waived: 0, skipped: 0, failed: 0 };
  for (const column of worst.values()) counts[column] += 1;
  return counts;
}

/** The rows as text. */
export function formatCertificates(rows: readonly CertificateRow[]): string {
  const heads = ["plugin", "point", "passed", "n/a", "waived", "skipped", "failed", "result", "seconds", "certificate"];
  const cells = rows.map(({ plugin, point, counts, result, seconds, certificate, note }) => [
    ...[plugin, point, ...Object.values(counts).map(String), result, String(Math.round(seconds))],
    [certificate.slice(0, 16), note].filter((text) => text !== "").join("  "),
  ]);
  const widths = heads.map((head, at) => Math.max(head.length, ...cells.map((row) => row[at]?.length ?? 0)));
  const isNumber = (at: number): boolean => (at >= 2 && at <= 6) || at === 8;
  const line = (row: readonly string[]): string =>
    row
      .map((cell, at) => (isNumber(at) ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      .join("  ")
      .trimEnd();
  return [line(heads), ...cells.map(line)].join("\n");
}
