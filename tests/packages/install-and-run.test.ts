import { copyFile, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../architecture/source-tree.ts";
import { runtimeNames, usedNames } from "./runtime-names.ts";
import { task } from "./run-task.ts";
import { Stranger } from "./stranger.ts";

const timeout = 900_000;

/** Node.js 22 says of its SQLite that it is experimental. */
const quiet = "--disable-warning=ExperimentalWarning";

/**
 * What is started as a process and not imported: the consumer's datacenter starts each of them, a test below the command, and the certification of a host
 * runtime its plane.
 */
const processes = new Set([
  "@vdc-os/cli/main",
  "@vdc-os/create-plugin/main",
  "@vdc-os/core/remote/child",
  "@vdc-os/host/runtime",
  "@vdc-os/plugin-distributed-switch/dataplane",
  "@vdc-os/plugin-thin-provisioning/server",
  "@vdc-os/ready/host/plane",
  "@vdc-os/ready/main",
]);

/** Plugins that are certified from their tarballs, and the suite of each: `tests/certificates` has their factories. */
const certified = [
  ["sqlite-state-store", "state"],
  ["file-secret-store", "secret"],
] as const;

/** What needs a package that a stranger may not have: its optional peer. */
const needsMore = new Set(["@vdc-os/ready/vitest"]);

let stranger: Stranger;
let oldest: { readonly node: string; readonly version: string } | { readonly missing: string };

beforeAll(async () => {
  stranger = await Stranger.arrive();
  oldest = await findOldestNode();
  const importable = stranger
    .entries()
    .filter(({ specifier }) => !processes.has(specifier) && !needsMore.has(specifier));
  await stranger.write("import-all.mjs", importable.map(({ specifier }) => `import "${specifier}";\n`).join(""));
}, timeout);

afterAll(async () => stranger?.[Symbol.asyncDispose]());

/** A machine for which there is none, or without a registry, may do without; a CI may not. */
async function findOldestNode(): Promise<typeof oldest> {
  try {
    return JSON.parse(await task("oldest-node"));
  } catch (error) {
    if (process.env.CI) throw error;
    return { missing: String(error) };
  }
}

it("each package has its licence, its page, its declarations, and what it needs by version", async () => {
  const licence = await readFile(join(root, "LICENSE"), "utf8");
  const wrong: string[] = [];
  for (const { name, directory, manifest } of stranger.packages) {
    const files = (await readdir(directory, { recursive: true })).filter((path) => !path.startsWith("node_modules"));
    if ((await readFile(join(directory, "LICENSE"), "utf8").catch(() => "")) !== licence)
      wrong.push(`${name}: LICENSE`);
    if (!files.includes("README.md")) wrong.push(`${name}: README.md`);
    for (const path of files) {
      if (/\.(test|bench)\.|(^|\/)(test|bench)\//.test(path)) wrong.push(`${name}: '${path}' is a test`);
    }
    const { engines, dependencies, peerDependencies } = manifest;
    if ("version" in oldest && engines?.node !== `>=${oldest.version.replace(/\.0$/, "")}`) {
      wrong.push(`${name}: engines is '${engines?.node}', and what is tested is ${oldest.version}`);
    }
    for (const [other, range] of Object.entries({ ...dependencies, ...peerDependencies })) {
      if (!/^(\^|>=)\d/.test(range)) wrong.push(`${name}: depends on '${other}' as '${range}'`);
    }
  }
  expect(wrong).toEqual([]);
});

it("contracts are there as JSON Schema, for authors in other languages", { timeout }, async () => {
  const program = `for (const contract of ["backup", "cloud", "compute", "host", "network", "secret", "state", "storage"]) {
    const { default: schema } = await import("@vdc-os/core/schemas/" + contract + "/v1.json", { with: { type: "json" } });
    console.log(schema.id, schema.version, schema.operations.describe.input.$id);
  }`;
  const args = ["--disable-warning=ExperimentalWarning", "--input-type=module", "--eval", program];
  const { code, stdout, stderr } = await stranger.run(process.execPath, args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toContain("vdc.storage 1.0 urn:vdc-os:vdc.storage:1.0:describe:input\n");
});

it("everything that is exported compiles against the declarations alone", { timeout }, async () => {
  const names = stranger.entries().map(({ specifier }, index) => `import type * as m${index} from "${specifier}";`);
  const uses = names.map((_, index) => `typeof m${index}`).join(", ");
  await stranger.write("every-entry.ts", `${names.join("\n")}\nexport type Everything = [${uses}];\n`);
  await copyFile(join(root, "tests/packages/consumer/datacenter.ts"), join(stranger.directory, "datacenter.ts"));
  const factories = certified.map(([name]) => `${name}.ts`);
  for (const file of [...factories, "killable-plugin.ts"])
    await copyFile(join(root, "tests/certificates", file), join(stranger.directory, file));
  expect(await stranger.compile(["every-entry.ts", "datacenter.ts", ...factories])).toBe("");
});

it("plugins are certified from their tarballs, and what npm installed is what was certified", { timeout }, async () => {
  const ready = join(stranger.directory, "node_modules/.bin/vdc-ready");
  const run = (...args: readonly string[]) => stranger.run(process.execPath, [quiet, ready, ...args]);
  expect(await run("key", "author.key")).toMatchObject({ code: 0 });
  for (const [name, suite] of certified) {
    const { name: plugin, tarball, manifest } = stranger.packages.find((one) => one.name.endsWith(`/plugin-${name}`))!;
    const certificate = ["--certificate", `${name}.json`, "--key", "author.key"];
    const said = await run(tarball, "--quiet", "--factory", `${suite}=${name}.js`, ...certificate);
    const verdict = `${plugin} ${manifest.version}: success\nThe certificate of success is in '${name}.json'.\n`;
    expect(said).toEqual({ code: 0, stdout: verdict, stderr: "" });
    const verify = ["verify", `${name}.json`, "--key", "author.key.pub", "--tarball", tarball, "--installed", plugin];
    expect(await run(...verify)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`what is installed as '${plugin}' is what was certified`),
    });
  }
});

it("the code uses nothing that the oldest Node.js lacks", { timeout }, async ({ skip }) => {
  if ("missing" in oldest) return skip(oldest.missing);
  const [here, there] = await Promise.all([runtimeNames(process.execPath), runtimeNames(oldest.node)]);
  const lacking = here.difference(there);
  const sample = "new AsyncDisposableStack(); await Promise.try(f); own.Promise.try(f)";
  expect(usedNames(sample, lacking)).toEqual(["AsyncDisposableStack", "Promise.try"]);
  const found: string[] = [];
  for (const { name, directory } of stranger.packages) {
    for (const path of await readdir(join(directory, "dist"), { recursive: true })) {
      if (!path.endsWith(".js")) continue;
      const used = usedNames(await readFile(join(directory, "dist", path), "utf8"), lacking);
      found.push(...used.map((what) => `${name}: '${path}' uses ${what}`));
    }
  }
  expect(found).toEqual([]);
});

describe.each(["this", "the oldest"])("on %s Node.js", (which) => {
  const node = (skip: (why: string) => never): string => {
    if (which === "this") return process.execPath;
    if ("missing" in oldest) {
      console.warn(`SKIPPED: the packages are not run on the oldest Node.js. ${oldest.missing}`);
      return skip(oldest.missing);
    }
    return oldest.node;
  };

  it("every module can be imported", { timeout }, async ({ skip }) => {
    expect(await stranger.run(node(skip), [quiet, "import-all.mjs"])).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  it("a datacenter runs, with every process that it starts", { timeout }, async ({ skip }) => {
    const args = [quiet, "datacenter.js"];
    const { code, stdout, stderr } = await stranger.run(node(skip), args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout.split("\n")).toEqual([
      "clone: linked of 67108864 bytes",
      "disk: reads what was written",
      expect.stringMatching(/^capacity: 134217728 bytes promised, \d+ bytes taken$/),
      "switch: alpha up",
      "secret: 13 characters",
      "processes: storage-thin running, switch-network running",
      "closed: nothing is left",
      "",
    ]);
  });

  it("the command 'vdc' runs: from nothing to a verified recovery point", { timeout }, async ({ skip }) => {
    const vdc = (...args: readonly string[]) =>
      stranger.run(node(skip), [join(stranger.directory, "node_modules/.bin/vdc"), ...args]);
    const stdout: string[] = [];
    for (const line of [
      "--version",
      "init --js",
      "storage volume create disk --size 64M --storage thin",
      "backup run --volumes disk",
      "backup verify",
      "destroy --yes",
    ]) {
      const ended = await vdc(...line.split(" "));
      expect({ line, code: ended.code, stderr: ended.stderr }).toEqual({ line, code: 0, stderr: "" });
      stdout.push(...ended.stdout.trim().split("\n"));
    }
    expect(stdout).toContain("Volume 'disk': 64 MiB on 'thin'.");
    expect(stdout).toContain("1 recovery point: 0 chunks, 0 B. All of it is well.");
    await rm(join(stranger.directory, "vdc.config.mjs"));
    await rm(join(stranger.directory, ".vdc"), { recursive: true });
  });

  it.for(["storage", "network"])(
    "a new plugin for %s compiles, and is certified",
    { timeout },
    async (point, { skip }) => {
      const bin = (name: string): string => join(stranger.directory, "node_modules/.bin", name);
      const folder = join("made", which.replace(" ", "-"), point);
      const made = await stranger.run(node(skip), [
        bin("create-plugin"),
        folder,
        "--point",
        point,
        "--name",
        `my-${point}`,
      ]);
      expect(made).toMatchObject({
        code: 0,
        stderr: "",
        stdout: expect.stringContaining(`my-${point} is in '${folder}'`),
      });
      const tsc = join(root, "node_modules/typescript/bin/tsc");
      const built = await stranger.run(process.execPath, [tsc, "-p", join(folder, "tsconfig.build.json")]);
      expect(built).toEqual({ code: 0, stdout: "", stderr: "" });
      const certified = await stranger.run(node(skip), [bin("vdc-ready"), folder, "--quiet"]);
      expect(certified).toEqual({ code: 0, stdout: `my-${point} 0.0.0: success\n`, stderr: "" });
    },
  );
});
