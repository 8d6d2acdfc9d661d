import type { PortStatistics } from "@vdc-os/core/network/v1";
import { expect, it } from "vitest";
import { MovingPort, moving } from "./moving-port.ts";
import type { StreamTally } from "./numbered-traffic.ts";

/** What must hold of a stream of unicast frames. */
function whole(tallies: readonly StreamTally[]): unknown[] {
  return tallies.map(({ stream, lost, duplicated }) => ({ stream, lost, duplicated }));
}

function expectWhole(tallies: readonly StreamTally[]): void {
  expect(whole(tallies)).toEqual(tallies.map(({ stream }) => ({ stream, lost: [], duplicated: [] })));
}

async function statistics(port: MovingPort): Promise<PortStatistics> {
  const { cluster } = port;
  const [found] = await cluster.control.portStatistics(
    { switchId: "sw", portKeys: [moving.portKey] },
    cluster.operation(),
  );
  return found as PortStatistics;
}

const total = (reasons: Readonly<Record<string, string>>): number =>
  Object.values(reasons).reduce((sum, frames) => sum + Number(frames), 0);

it("moves a port there, back and there again, without losing or doubling a frame", async () => {
  await using port = await MovingPort.create();
  await port.traffic.rounds(200);
  let before = await statistics(port);
  const ghosts: string[] = [];
  for (const [move, target] of ["b", "a", "b"].entries()) {
    const old = port.now;
    const prepared = await port.prepare(target);
    // The new owner is not heard yet, the old one not any more afterwards.
    prepared.next.say(`early ${move}`, "all");
    ghosts.push(`early ${move}`, `late ${move}`);
    await port.traffic.rounds(50);
    await port.activate(prepared);
    old?.say(`late ${move}`, "all");
    await port.complete(prepared);
    old?.say(`late ${move}`, "all");
    await port.traffic.rounds(150);
    const after = await statistics(port);
    expect(BigInt(after.framesIn)).toBeGreaterThan(BigInt(before.framesIn));
    expect(BigInt(after.framesOut)).toBeGreaterThan(BigInt(before.framesOut));
    before = after;
  }
  const tallies = await port.end();
  port.report("network VMotion, unicast", tallies);
  port.report("network VMotion, broadcasts at the new and the old NIC together", [
    port.traffic.tally("broadcast", port.nics),
  ]);
  expectWhole(tallies);
  expect(port.traffic.tally("broadcast", port.nics).lost).toEqual([]);
  for (const nic of port.others.values()) expect(nic.texts.filter((text) => ghosts.includes(text))).toEqual([]);
  // Over all hosts: what the VM sent and was sent, by whichever NIC.
  const counted = await statistics(port);
  const sent = tallies.filter(({ stream }) => stream.startsWith("to ")).reduce((sum, tally) => sum + tally.sent, 0);
  const { framesIn, framesForwarded, dropsIn } = counted;
  expect(Number(framesIn)).toBe(Number(framesForwarded) + total(dropsIn));
  expect({ forwarded: Number(framesForwarded), dropsIn }).toEqual({ forwarded: sent + 3, dropsIn: { gateDrop: "3" } });
  expect(Number(counted.framesOut)).toBe(port.nics.reduce((sum, { frames }) => sum + frames.length, 0));
});

it("moves on when the source is killed in between, and its VM is cut off", async () => {
  await using port = await MovingPort.create();
  await port.traffic.rounds(50);
  const prepared = await port.prepare("b");
  port.rest();
  port.host("a").kill("SIGKILL");
  await port.activate(prepared);
  await port.complete(prepared);
  const began = port.traffic.sent("to c");
  await port.traffic.rounds(100);
  const tallies = await port.end();
  port.report("source killed before activation", tallies);
  const after = (tally: StreamTally): number[] => tally.lost.filter((number) => number > began);
  expect(tallies.filter(({ stream }) => stream.startsWith("to ")).map(after)).toEqual([[], [], []]);
  expect(tallies.flatMap(({ duplicated }) => duplicated)).toEqual([]);
  expect(await port.migration.listMigrations({ switchId: "sw" }, port.cluster.operation())).toEqual([]);
});

it("leaves the source unharmed when the target dies before activation", async () => {
  await using port = await MovingPort.create();
  await port.traffic.rounds(50);
  const source = port.now;
  const { ticket } = await port.prepare("b");
  port.cluster.hosts.delete("b");
  port.rest();
  const refused = port.migration.activateMigration({ ticket: ticket.ticket }, port.cluster.operation());
  await expect(refused).rejects.toMatchObject({ code: "UNAVAILABLE" });
  if (source !== undefined) port.goOn(source);
  await port.traffic.rounds(50);
  const aborted = await port.migration.abortMigration({ ticket: ticket.ticket }, port.cluster.operation());
  expect(aborted.state).toBe("aborted");
  await port.traffic.rounds(50);
  const tallies = await port.end();
  port.report("target unreachable, aborted", tallies);
  expectWhole(tallies);
});

it("loses nothing of a host that stands still while the port moves", async () => {
  await using port = await MovingPort.create();
  for (const target of ["b", "a", "b", "a"]) {
    await port.traffic.rounds(50);
    const prepared = await port.prepare(target);
    port.host("c").kill("SIGSTOP");
    await port.traffic.rounds(20);
    await port.activate(prepared);
    // It comes back with frames of before the move, when that has ended everywhere else.
    const completed = port.complete(prepared);
    await port.traffic.rounds(20);
    port.host("c").kill("SIGCONT");
    await completed;
  }
  await port.traffic.rounds(50);
  const tallies = await port.end();
  port.report("third host stands still meanwhile", tallies);
  expectWhole(tallies);
});
