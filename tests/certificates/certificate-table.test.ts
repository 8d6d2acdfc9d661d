import { expect, test } from "vitest";
import { countRequirements, formatCertificates } from "./certificate-table.ts";

test("a requirement counts once, as the worst of both transports", () => {
  const result = (
    id: string,
    transport: "direct" | "pipe",
    status: "pass" | "fail" | "not-applicable" | "skipped",
  ) => ({
    ...{ id, transport, status, title: "", clause: "", level: "core" as const, facet: undefined },
    ...{ durationMs: 1, message: undefined },
  });
  const results = [
    result("state.a", "direct", "pass"),
    result("state.a", "pipe", "fail"),
    result("state.b", "direct", "pass"),
    result("state.b", "pipe", "pass"),
    result("state.c", "direct", "not-applicable"),
    result("state.d", "pipe", "skipped"),
  ];
  const counts = countRequirements({ results });
  expect(counts).toEqual({ passed: 1, "not applicable": 1, waived: 0, skipped: 1, failed: 1 });
  const row = { plugin: "p", point: "vdc.state", counts, result: "failure", seconds: 1.2, certificate: "", note: "so" };
  expect(formatCertificates([{ ...row, result: "failure" }]).split("\n")).toEqual([
    "plugin  point      passed  n/a  waived  skipped  failed  result   seconds  certificate",
    "p       vdc.state       1    1       0        1       1  failure        1  so",
  ]);
});
