import { expect, it } from "vitest";
import { PortGate } from "./port-gate.ts";

it("connects side by side, and collects alone", async () => {
  const gate = new PortGate();
  const said: string[] = [];
  const first = Promise.withResolvers<void>();
  const collecting = Promise.withResolvers<void>();
  const step = (name: string, until?: Promise<void>) => async () => {
    said.push(`${name} begins`);
    await until;
    said.push(`${name} ends`);
  };
  const all = [
    gate.connect("s", step("a", first.promise)),
    gate.connect("s", step("b")),
    gate.collect("s", step("collect", collecting.promise)),
    gate.connect("s", step("c")),
    gate.connect("other", step("d")),
  ];
  await all[4];
  expect(said).not.toContain("collect begins");
  first.resolve();
  await all[0];
  collecting.resolve();
  await Promise.all(all);
  expect(said.indexOf("b begins")).toBeLessThan(said.indexOf("a ends"));
  expect(said.slice(-4)).toEqual(["collect begins", "collect ends", "c begins", "c ends"]);
});

it("goes on after a failure", async () => {
  const gate = new PortGate();
  await expect(gate.connect("s", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  await expect(gate.collect("s", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await gate.connect("s", async () => 1)).toBe(1);
});
