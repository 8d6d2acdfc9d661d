import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { VdcFolder } from "./vdc-folder.ts";

// Up to fifteen processes for each test: where others work too, they take their time.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

const config = `
import { join } from "node:path";
import { defineDatacenterConfig } from "@vdc-os/cli";
import { use } from "@vdc-os/core/kernel";
import { localHost } from "@vdc-os/host";
import distributedSwitch from "@vdc-os/plugin-distributed-switch";
import fileSecretStore from "@vdc-os/plugin-file-secret-store";
import sqliteStateStore from "@vdc-os/plugin-sqlite-state-store";
export default defineDatacenterConfig(({ folder }) => ({
  directory: ".vdc/dc",
  plugins: ({ uid, directory }) => [
    use(sqliteStateStore, { config: { directory: join(directory, "state") } }),
    use(fileSecretStore, { config: { path: join(directory, "secrets"), keyFile: join(folder, ".vdc/key"), createKeyFile: true } }),
    use(distributedSwitch, { config: { name: "net", datacenter: uid } }),
  ],
  hosts: ["alpha", "beta"].map((name) => localHost({ name, resolveFrom: import.meta.url })),
}));
`;

let folder: VdcFolder;

beforeAll(async () => {
  folder = await VdcFolder.make();
  await writeFile(join(folder.path, "vdc.config.ts"), config);
});

afterAll(async () => folder?.[Symbol.asyncDispose]());

test("a switch is made, shown, drawn, changed on trial, and copied", async () => {
  expect(await folder.text("network list")).toBe("There are no switches.\n");
  const spec = {
    network: "net",
    hosts: ["alpha", "beta"],
    mtu: 1400,
    portGroups: [{ name: "web", policy: { vlan: { kind: "access", id: 10 } }, overrides: ["blocked"], maxPorts: 9 }],
  };
  const write = (mtu: number) =>
    writeFile(
      join(folder.path, "prod.json"),
      JSON.stringify({ format: "vdc.switch.config/1", name: "prod", spec: { ...spec, mtu } }),
    );
  await write(1400);
  expect(await folder.text("network import prod.json")).toBe("Switch 'prod' is there.\n");
  expect(await folder.text("network list")).toMatch(/^prod +net +overlay +1400 +alpha, beta +1 +0\/0 +ready$/m);
  const shown = await folder.text("network show prod --interval 0");
  expect(shown).toMatch(/^alpha +up +0 +-$/m);
  expect(shown).toMatch(/^web +10 +static +0 of 9 +blocked$/m);
  expect(shown).toContain("No port is connected.");
  await folder.text("network topology prod --svg prod.svg --interval 0");
  expect(await readFile(join(folder.path, "prod.svg"), "utf8")).toContain("Host alpha is up: no ports.");

  await write(1300);
  expect(await folder.text("network apply prod prod.json --confirm-within 60")).toContain("vdc network confirm prod");
  expect(await folder.text("network list")).toMatch(/on trial$/m);
  expect(await folder.text("network rollback prod")).toBe("Switch 'prod' is as it was.\n");
  await folder.text("network apply prod prod.json --confirm-within 60");
  await folder.text("network confirm prod");
  const { archive } = await folder.json<{ readonly archive: { readonly spec: { readonly mtu: number } } }>(
    "network export prod",
  );
  expect(archive.spec.mtu).toBe(1300);
  await folder.text("network export prod kept.json");
  await folder.text("network import kept.json --as copy");
  const { switches } = await folder.json<{ readonly switches: readonly { readonly name: string }[] }>("network list");
  expect(switches.map(({ name }) => name)).toEqual(["copy", "prod"]);
});

test("what makes no sense is said, and what is not there too", async () => {
  const refused: readonly (readonly [string, number, string])[] = [
    ["network capture prod web-1 -o frames.txt", 2, "neither with '.pcapng' nor with '.pcap'"],
    ["network capture prod web-1 -o - --json", 2, "both want standard output"],
    ["network explain prod web-1", 2, "'--frame' or '--to'"],
    ["network health prod --check luck", 2, "'luck' is no check"],
    ["network show prod --interval soon", 2, "no number of seconds"],
    ["network show nope", 1, "nope"],
    ["network capture prod web-1 -o x.pcap", 1, "has no connected port 'web-1': it has none"],
    ["network confirm prod", 1, "nothing of switch 'prod' is on trial"],
    ["network import vdc.config.ts", 1, "is no JSON"],
  ];
  for (const [line, code, why] of refused) {
    const { stderr, ...ended } = await folder.run(line);
    expect({ line, code: ended.code }).toEqual({ line, code });
    const message = line.endsWith("--json")
      ? (JSON.parse(stderr) as { error: { message: string } }).error.message
      : stderr;
    expect(message).toContain(why);
  }
});
