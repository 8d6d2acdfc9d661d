import type { HealthFinding } from "@vdc-os/core/network/v1";
import { printable } from "../terminal/printable.ts";
import type { Style } from "../terminal/style.ts";
import { formatTable } from "../terminal/table.ts";

/** So many good findings are told one by one; of more, how many there are of each kind. */
const someFindings = 12;

/** Findings with the same cause. */
type FindingRow = Omit<HealthFinding, "check"> & { readonly check: string };

/** Findings as a table: what is wrong first. Many good ones are summed up by check, unless `all` are asked for. */
export function healthText(
  findings: readonly HealthFinding[],
  { style, all }: { readonly style: Style; readonly all: boolean },
): string {
  const wrong = findings.filter(({ ok }) => !ok);
  const good = findings.filter(({ ok }) => ok);
  const rowOf = ({ ok, check, from, to, detail }: FindingRow): string[] => [
    ok ? style.green("ok") : style.red("WRONG"),
    ...[check, from, to],
    printable(detail),
  ];
  // One cause is found by many checks, and on the ways to many hosts.
  const causes = Map.groupBy(wrong, ({ from, detail }) => `${from}\0${detail}`);
  const rows = [...causes.values()].map((those) => {
    const { ok, from, detail } = those[0] as HealthFinding;
    const all = (name: "check" | "to"): string => [...new Set(those.map((finding) => finding[name]))].join(", ");
    return rowOf({ ok, from, detail, check: all("check"), to: all("to") });
  });
  const summed = !all && good.length > someFindings;
  if (summed) {
    for (const check of new Set(good.map((finding) => finding.check))) {
      const those = findings.filter((finding) => finding.check === check);
      const bad = waysOf(those.filter(({ ok }) => !ok));
      const [ways, left] = [waysOf(those).size, waysOf(those).difference(bad).size];
      if (left === 0) continue;
      const where = check === "teaming" ? (ways === 1 ? "uplink" : "uplinks") : "ways between hosts";
      rows.push([style.green("ok"), check, "-", "-", `${left === ways ? "all" : `${left} of`} ${ways} ${where}`]);
    }
  } else rows.push(...good.map(rowOf));
  const columns = ["", "CHECK", "FROM", "TO", "WHAT WAS SEEN"].map((title) => ({ title }));
  const table = formatTable(columns, rows, style.dim);
  return summed ? `${table}\n\n${style.dim("'--all' tells each of them.")}` : table;
}

function waysOf(findings: readonly HealthFinding[]): Set<string> {
  return new Set(findings.map(({ from, to }) => `${from}\0${to}`));
}
