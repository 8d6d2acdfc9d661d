import { mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { use } from "@vdc-os/core/kernel";
import { readCapture } from "@vdc-os/pcap";
import { type SimulatedPoint, simulatedHost, SimulatedWorld, simulator } from "@vdc-os/plugin-simulator";
import { createDatacenter, type CreateDatacenterOptions } from "@vdc-os/sdk";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { runCommandLine } from "../src/run-command-line.ts";

// Hosts, VMs and the switch are simulated, and outlive each command in this process; the manager and the command are real.
const wait = { timeoutMs: 30_000, timeout: 30_000 };
const hosts = ["alpha", "beta"];
const shared = Symbol.for("vdc-os.cli.test.network-ports");
const world = new SimulatedWorld({ bootMs: 1, hosts: hosts.map((name) => ({ name })) });
const plugin = (point: SimulatedPoint, name: string) =>
  use(simulator({ world, points: [point], hosts: [] }), { id: `simulator/${point}`, config: { name } });
let folder: string;

/** Runs a command line in this process, in a terminal where `columns` says so. Ends with Ctrl-C when `until` resolves. */
async function vdc(line: string, until?: Promise<unknown>, columns?: number) {
  const interrupt = new AbortController();
  void until?.then(() => interrupt.abort());
  const said = { stdout: "", stderr: "" };
  const stream = (name: "stdout" | "stderr") => ({
    isTTY: columns !== undefined && name === "stdout",
    ...(columns === undefined ? {} : { columns }),
    write: (text: string | Uint8Array) => {
      said[name] += String(text);
      return true;
    },
  });
  const code = await runCommandLine({
    ...{ args: line.split(" "), cwd: folder, env: { NO_COLOR: "1" }, signal: interrupt.signal },
    ...{ stdout: stream("stdout"), stderr: stream("stderr") },
  });
  return { code, ...said };
}

/** Runs a command line, which must succeed. Returns what it printed. */
async function text(line: string): Promise<string> {
  const { code, stdout, stderr } = await vdc(line);
  expect({ line, code, stderr }).toEqual({ line, code: 0, stderr });
  return stdout;
}

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "vdc-cli-ports-")));
  const options = {
    directory: join(folder, "dc"),
    mode: "durable",
    plugins: [
      plugin("state", "state"),
      plugin("secret", "secret"),
      plugin("storage", "storage"),
      plugin("network", "network"),
    ],
    hosts: hosts.map((name) => simulatedHost({ world, name })),
  } satisfies CreateDatacenterOptions;
  (globalThis as Record<symbol, unknown>)[shared] = options;
  await writeFile(
    join(folder, "vdc.config.mjs"),
    `export default globalThis[Symbol.for(${JSON.stringify(shared.description)})];\n`,
  );
  const dc = await createDatacenter(options);
  try {
    await dc.volumes.createAndWait({ name: "golden", spec: { storage: "storage", capacityBytes: 2 ** 26 } }, wait);
    const boot = { kind: "kernel", kernel: "/none", commandLine: "" } as const;
    await dc.images.createAndWait({ name: "golden", spec: { boot, volume: "golden" } }, wait);
    const portGroups = [
      { name: "web", policy: { vlan: { kind: "access", id: 10 } }, overrides: ["blocked"] },
      { name: "db", policy: { vlan: { kind: "access", id: 20 } } },
    ] as const;
    await dc.switches.createAndWait({ name: "prod", spec: { network: "network", hosts, portGroups } }, wait);
    for (const [name, host, portGroup, more] of [
      ["web-1", "alpha", "web", {}],
      ["web-2", "beta", "web", {}],
      ["shut", "beta", "web", { policy: { blocked: true } }],
      ["db-1", "beta", "db", {}],
    ] as const) {
      const nics = [{ switch: "prod", portGroup, ...more }];
      const spec = { image: "golden", cpus: 1, memoryBytes: 2 ** 27, host, nics };
      await dc.vms.createAndWait({ name, spec: { ...spec, commandLine: "vdc.ip=10.0.0.1/24" } }, wait);
    }
  } finally {
    await dc.close();
  }
});

afterAll(async () => {
  world.dispose();
  delete (globalThis as Record<symbol, unknown>)[shared];
  await rm(folder, { recursive: true, force: true });
});

test("a port is told with what passed, what was dropped and why, and what is in force", async () => {
  const shown = await text("network port prod web-1 --interval 0");
  expect(shown).toMatch(/^port +web-1\/nic0\nswitch +prod\nhost +alpha\ngroup +web$/m);
  expect(shown).toMatch(/^link +up$/m);
  expect(shown).toMatch(/^sent by the VM +\d+ /m);
  expect(shown).toMatch(/^IN FORCE\nvlan +10\naccepts +its own address alone$/m);
  expect(shown).not.toContain("sends");
  const shut = await text("network port prod shut --interval 0.01");
  expect(shut).toMatch(/^sends +0, frames 0\/s$/m);
  expect(shut).toMatch(/^blocked +yes/m);
  const { port } = JSON.parse(await text("network port prod db-1 --interval 0 --json"));
  expect(port).toMatchObject({ switch: "prod", vm: "db-1", nic: "nic0", host: "beta", link: "up" });
  expect(port.setting.vlan).toEqual({ kind: "access", id: 20 });
  expect(port.statistics).toMatchObject({ framesIn: expect.any(String), dropsIn: {} });
  const { code, stderr } = await vdc("network port prod web");
  expect([code, stderr]).toEqual([1, expect.stringContaining("no connected port 'web': it has 'web-1/nic0'")]);
});

test("a frame is explained by the names that people know, with a drop's reason in words", async () => {
  expect(await text("network explain prod web-1 --to web-2")).toMatch(/\n\nf\w+ \(.*\): to web-2\/nic0 on beta\n$/);
  const tagged = await text("network explain prod web-1 --to web-2 --vlan 20");
  expect(tagged).toMatch(/\n\ndrop \(.*\): .*\n$/);
  expect(await text("network explain prod shut --to web-1")).toContain("drop (blocked): the port is blocked");
  const { explanation } = JSON.parse(await text("network explain prod web-1 --to broadcast --json"));
  expect(explanation).toMatchObject({ verdict: "flood", portNames: expect.arrayContaining(["web-2/nic0"]) });
});

test("ports are shown and drawn, and a capture ends with Ctrl-C as a whole file", async () => {
  const shown = await text("network show prod --interval 0");
  expect(shown).toMatch(/^web-1\/nic0 +alpha +web +10 +[0-9a-f:]{17} +up$/m);
  for (const columns of [60, 80]) {
    const { stdout } = await vdc("network show prod --interval 0.01", undefined, columns);
    expect(Math.max(...stdout.split("\n").map(({ length }) => length))).toBeLessThanOrEqual(columns);
    expect(stdout).toMatch(/^web-1\/nic0 +alpha +/m);
  }
  await text("network topology prod --svg prod.svg --interval 0");
  expect(await readFile(join(folder, "prod.svg"), "utf8")).toContain("shut/nic0 in web (VLAN 10), link up");
  const begun = vi.waitFor(() => expect(world.log.calls({ operation: "capture.capturePort" })).toHaveLength(1), wait);
  const ended = await vdc("network capture prod web-1 -o web.pcapng", begun);
  expect(ended).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+ frames? of web-1\/nic0, /) });
  expect(readCapture(await readFile(join(folder, "web.pcapng"))).format).toBe("pcapng");
});
