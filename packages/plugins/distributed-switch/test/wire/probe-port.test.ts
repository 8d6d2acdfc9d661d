import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { DataPlane } from "../../src/dataplane/control.ts";
import type { TunnelPeer } from "../../src/dataplane/switch-tunnel.ts";
import { findingsOf } from "../../src/wire/probe/health-findings.ts";
import { ProbePort } from "../../src/wire/probe/probe-port.ts";
import { ManualClock } from "../../src/wire/test/manual-clock.ts";

it("members of a switch find by real frames what passes between them, through their tunnels", async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "vdc-wire-"));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  // Time stands still until only those are waited for that never come.
  const clock = new ManualClock();
  const member = async (name: string, maxMtu: number) => {
    const up = Promise.withResolvers<void>();
    const plane = new DataPlane({ redialMs: 5, onLink: ({ link }) => link === "up" && up.resolve() });
    stack.defer(() => plane.close());
    const probes = stack.use(
      await ProbePort.listen({
        ...{ member: name, path: join(directory, `${name}.sock`), clock, randomBytes },
        ...{ attempts: 1, timeoutMs: 1500 },
      }),
    );
    let generation = 0;
    let listen = { address: "127.0.0.1", port: 0 };
    const apply = async (peers: readonly TunnelPeer[]): Promise<void> => {
      generation += 1;
      const { socketPath, settings } = probes;
      const ports = [{ key: `probe-${name}`, socketPath, settings }];
      await plane.apply({
        ...{ generation, vtep: { listen, underlayMtu: 9050 } },
        switches: [{ key: "prod", vniBase: 4096, maxMtu, peers, ports }],
      });
      listen = (await plane.status()).vtep?.listen ?? listen;
    };
    await apply([]);
    return { name, probes, apply, up: up.promise, listen: () => listen };
  };
  const a = await member("host-a", 9000);
  // Somebody forgot to allow jumbo frames here.
  const b = await member("host-b", 1500);
  await a.apply([{ key: "host-b", ...b.listen() }]);
  await b.apply([{ key: "host-a", ...a.listen() }]);
  await Promise.all([a.up, b.up]);
  await expect.poll(() => a.probes.up && b.probes.up).toBe(true);
  const results = async (ways: Parameters<typeof a.probes.run>[0], lost: number) => {
    const running = a.probes.run(ways);
    await expect.poll(() => clock.timers, { interval: 5 }).toBe(lost);
    clock.advance(1500);
    return running;
  };

  const ways = [10, 20].flatMap((vlan) => [100, 1514, 9014].map((frameBytes) => ({ to: "host-b", vlan, frameBytes })));
  const findings = findingsOf(await results(ways, 2), ["path", "vlan", "mtu"]);
  expect(findings).toMatchObject([
    { check: "path", from: "host-a", to: "host-b", ok: true },
    { check: "vlan", ok: true, detail: "VLAN 10: 1 of 1 probes were answered" },
    { check: "vlan", ok: true, detail: "VLAN 20: 1 of 1 probes were answered" },
    {
      ...{ check: "mtu", ok: false },
      detail:
        "frames of 9014 octets are lost, of 1514 octets pass: an MTU on the way is too small, between the hosts it must be 9050, or the switch's smaller",
    },
  ]);
  expect(b.probes.statistics.answered).toBe(4);

  const nobody = await results([{ to: "host-c", vlan: 10, frameBytes: 100 }], 1);
  expect(findingsOf(nobody, ["path"])).toMatchObject([{ to: "host-c", ok: false }]);
});
