import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { stripVTControlCharacters } from "node:util";
import type { Plugin } from "@vdc-os/core";
import { Kernel, use } from "@vdc-os/core/kernel";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { PluginProject, vaultPlugin } from "../../test/plugin-package.ts";
import { certificationReport } from "../certify/certification-report.ts";
import { runCommandLine } from "./run-command-line.ts";

let project: PluginProject;

beforeEach(() => {
  project = new PluginProject();
});

afterEach(() => project[Symbol.dispose]());

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command in the author's folder. */
async function vdcReady(line: string, { isTTY = false, now = {} } = {}): Promise<Ended> {
  const written = { stdout: "", stderr: "" };
  const code = await runCommandLine({
    args: line.split(" "),
    cwd: project.folder,
    env: now,
    stdout: { isTTY, columns: 120, write: (text) => (written.stdout += text) },
    stderr: { isTTY, columns: 120, write: (text) => (written.stderr += text) },
  });
  return { code, ...written };
}

const read = (path: string): string => readFileSync(join(project.folder, path), "utf8");

describe("vdc-ready <package>", () => {
  it("certifies a folder, a tarball and an installed package, and leaves nothing", async () => {
    const tarball = project.pack();
    for (const what of [".", tarball]) {
      const { code, stdout } = await vdcReady(what);
      expect(stdout).toMatch(/^vdc\.secret 1\.0 memory 1\.0\.0/);
      expect(stdout).toMatch(/core +success +\d+ of \d+\n/);
      expect(stdout).toMatch(/\d+ passed in .*\n@acme\/vdc-vault 1\.2\.0: success\n$/);
      expect(code).toBe(0);
    }
    project.install(tarball);
    expect(await vdcReady("@acme/vdc-vault --quiet")).toEqual({
      code: 0,
      stdout: "@acme/vdc-vault 1.2.0: success\n",
      stderr: "",
    });
    expect(readdirSync(join(project.folder, "node_modules")).sort()).toEqual(["@acme", "@vdc-os", "zod"]);
  });

  it("prepares once what all requirements share, and releases in reverse what each of them deferred", async () => {
    const log = join(project.folder, "log");
    project.write({
      "dist/certification.js": `import { appendFileSync } from "node:fs";
import { secretStore } from "@vdc-os/core/secret/v1";
const say = (text) => appendFileSync(${JSON.stringify(log)}, text + " ");
export async function prepare() {
  say("prepared");
  return { [Symbol.asyncDispose]: async () => say("disposed") };
}
export async function create(kit) {
  say(kit.module.endsWith("dist/index.js") ? "create" : "another module");
  kit.defer(() => say("last"));
  kit.defer(() => say("first"));
  return { implementation: (await kit.start(secretStore, { config: { id: kit.folder() } })).implementation };
}
`,
    });
    expect(await vdcReady(". --only secret.resolve.absent --quiet")).toMatchObject({ code: 0 });
    const twice = "create first last create first last";
    expect(read("log")).toBe(`prepared ${twice} disposed `);
    project.write({
      "dist/without.js": 'export function prepare() { throw new Error("no daemon"); }\nexport function create() {}\n',
      "package.json": read("package.json").replace("certification.js", "without.js"),
    });
    const { code, stdout } = await vdcReady(".");
    expect(stdout).toContain("could not be prepared: no daemon");
    expect(code).toBe(1);
  });

  it("shows what failed, over which transport, and the contract's words", async () => {
    project.write({
      "dist/index.js": vaultPlugin("Vault.prototype.remove = async () => {};"),
    });
    const { code, stdout, stderr } = await vdcReady(". --html r.html --json r.json --junit r.xml");
    expect(code).toBe(1);
    expect(stderr).toMatch(/^vdc\.secret 1\.0, direct: \d+ requirements\n {2}fail {2}secret\.remove\./);
    expect(stdout).toMatch(/ {2}fail {5}secret\.remove\..*-> .*the contract says: /s);
    expect(stdout).toMatch(/vdc-vault 1\.2\.0: failure\n$/);
    const report = certificationReport.parse(JSON.parse(read("r.json")));
    expect(report).toMatchObject({ verdict: "failure", subject: { kind: "folder" }, complete: true });
    expect(read("r.xml")).toMatch(/<testcase classname="vdc\.secret" name="secret\.remove\..*><failure message="/);
    expect(read("r.html")).toMatch(/<details class="fail" open><summary>.*secret\.remove\./);
  });

  it("waives what a file beside the package waives", async () => {
    project.write({ "dist/index.js": vaultPlugin("Vault.prototype.remove = async () => {};") });
    await vdcReady(". --json r.json");
    const failed = JSON.parse(read("r.json")) as { suites: { results: { id: string; status: string }[] }[] };
    const ids = new Set(failed.suites[0]?.results.filter(({ status }) => status === "fail").map(({ id }) => id));
    const waivers = [...ids].map((requirement) => ({
      requirement,
      reason: "kept for a year by law",
      expires: "2999-12-31",
    }));
    project.write({ "vdc-ready.json": JSON.stringify({ waivers }) });
    const { code, stdout } = await vdcReady(".");
    expect(code).toBe(3);
    expect(stdout).toContain("-> kept for a year by law (until 2999-12-31): ");
    project.write({ "vdc-ready.json": JSON.stringify({ waivers: [{ ...waivers[0], requirement: "secrets.gone" }] }) });
    expect(await vdcReady(".")).toMatchObject({ code: 2, stderr: expect.stringContaining("no suite 'secrets'") });
  });

  it("fails a plugin that leaves something behind, and waits for nothing", async () => {
    project.write({
      "dist/index.js": vaultPlugin(
        `import { createServer } from "node:net";
         export const left = [];
         const { list } = MemorySecretStore.prototype;
         Vault.prototype.list = function (...args) { const server = createServer().listen(0, "127.0.0.1"); left.push(server); return list.apply(this, args); };`,
      ),
    });
    const { code, stdout } = await vdcReady(".");
    expect(code).toBe(1);
    expect(stdout).toMatch(/fail {5}secret\.leaves-nothing.*more active 'TCP/s);
    const { left } = (await import(pathToFileURL(join(project.folder, "dist/index.js")).href)) as {
      left: { close(): void }[];
    };
    for (const server of left) server.close();
  });

  it("says what is missing", async () => {
    const cases: readonly (readonly [PluginProject, string, RegExp])[] = [
      [new PluginProject({}, { vdcReady: {} }), ".", /"vdcReady": \{ "secret": "\.\/\.\.\." \}/],
      [new PluginProject({ "dist/index.js": "export const plugin = 1;" }), ".", /exports no plugin/],
      [
        new PluginProject({ "dist/index.js": 'import "not-there";' }),
        ".",
        /Cannot find package 'not-there'.*dependencies are installed/,
      ],
      [new PluginProject({}, { exports: "./dist/none.js" }), ".", /was the package built\?/],
      [new PluginProject({}, { vdcReady: { secret: "../outside.js" } }), ".", /outside of the package/],
      [
        new PluginProject({ "dist/certification.js": "export const a = () => {}, b = () => {};" }),
        ".",
        /must export a function 'create'/,
      ],
      [new PluginProject({}, { name: "" }), ".", /'.*package\.json' is wrong/],
      [new PluginProject(), "./none", /is no folder, no tarball, and no package/],
      [new PluginProject({ "x.tgz": "text" }), "x.tgz", /is no package's tarball/],
      [new PluginProject({ "dist/index.js": 'throw new TypeError("no array");' }), ".", /no array \(file:/],
      [new PluginProject({ "dist/index.js": "throw undefined;" }), ".", /it throws undefined/],
      [
        new PluginProject({ "dist/index.js": "await new Promise(() => {});" }),
        ". --timeout 100",
        /not there after 100 ms/,
      ],
      [new PluginProject(), ". --level all", /must be one of core, extended/],
      [
        new PluginProject(),
        ". --only secret.nothing",
        /^vdc-ready: no requirement is among.*'vdc-ready list vdc\.secret'/m,
      ],
      [new PluginProject(), ". --html none/r.html", /none\/r\.html' can't be written: ENOENT/],
      [new PluginProject(), ". --json .", /can't be written: it is a folder/],
      [new PluginProject(), ". --waivers none.json", /none\.json' can't be read: ENOENT/],
      [new PluginProject(), "key none/k", /the key can't be written: ENOENT/],
      [new PluginProject(), ". --factory storages=./x.js", /there is no suite 'storages'/],
      [new PluginProject(), ". --nonsense", /See 'vdc-ready --help'/],
      [new PluginProject(), "verify", /give the file of a certificate/],
    ];
    for (const [own, line, text] of cases) {
      project[Symbol.dispose]();
      project = own;
      const { code, stdout, stderr } = await vdcReady(line);
      expect(`${stdout}${stderr}`).toMatch(text);
      expect(code).toBeGreaterThan(0);
    }
  });

  it("uses colours and one moving line on a terminal alone", async () => {
    const { stdout, stderr } = await vdcReady(". --only secret.put", { isTTY: true });
    expect(stdout).toContain("\u001b[");
    expect(stderr).toContain("\r\u001b[2Kvdc.secret 1.0, direct  1/");
    expect(stderr.endsWith("\r\u001b[2K")).toBe(true);
    expect(stdout).toContain("that certifies nothing");
    expect((await vdcReady(". --only secret.put", { isTTY: true, now: { NO_COLOR: "1" } })).stdout).not.toContain(
      "\u001b",
    );
    const plain = await vdcReady(". --only secret.put");
    expect(`${plain.stdout}${plain.stderr}`).toBe(stripVTControlCharacters(`${plain.stdout}${plain.stderr}`));
  });

  it("gives up on a plugin whose start hangs, and tries nothing more", async () => {
    project.write({
      "dist/certification.js": "export const create = () => new Promise(() => {});",
    });
    const { code, stdout } = await vdcReady(". --timeout 1000 --transport direct");
    expect(stdout.match(/it did not finish in 1000 ms/g)).toHaveLength(3);
    expect(stdout).toContain("not tried: 3 instances before it were not made in time");
    expect(code).toBe(1);
  });

  describe("as a program", () => {
    function run(): Promise<Ended> {
      const main = fileURLToPath(new URL("main.ts", import.meta.url));
      const { promise, resolve } = Promise.withResolvers<Ended>();
      const args = [main, project.folder, "--quiet", "--only", "secret.put"];
      execFile(process.execPath, args, { cwd: project.folder }, (error, stdout, stderr) =>
        resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
      );
      return promise;
    }

    it("says the verdict, and nothing of what the plugin prints, on standard output", async () => {
      project.write({ "dist/index.js": vaultPlugin('console.log("chatter");') });
      expect(await run()).toEqual({ code: 0, stdout: "@acme/vdc-vault 1.2.0: success\n", stderr: "chatter\n" });
    });

    it.each([
      ["exits", "Vault.prototype.put = () => process.exit(0);"],
      ["throws where nobody waits", 'queueMicrotask(() => { throw new Error("late"); });'],
    ])("is no success when the plugin %s", { timeout: 60_000 }, async (_, code) => {
      project.write({ "dist/index.js": vaultPlugin(code) });
      expect(await run()).toMatchObject({ code: 2, stdout: "", stderr: expect.stringMatching(/vdc-ready: /) });
    });
  });
});

describe("vdc-ready list", () => {
  it("lists what is required", async () => {
    const { stdout } = await vdcReady("list secret");
    expect(stdout).toMatch(/^vdc\.secret 1\.0: \d+ requirements\n {2}secret\.[a-z.-]+ {2}\(core\)\n {6}/);
  });
});

describe("a certificate", () => {
  it("is signed over a tarball, and verified for it, for what is installed from it, and by a kernel", {
    timeout: 60_000,
  }, async () => {
    expect(await vdcReady("key")).toMatchObject({ code: 0, stdout: expect.stringMatching(/^sha256:[0-9a-f]{64}\n/) });
    expect(statSync(join(project.folder, "vdc-ready.key")).mode & 0o777).toBe(0o600);
    expect(await vdcReady("key")).toMatchObject({ code: 2, stderr: expect.stringContaining("is there already") });

    const tarball = project.pack();
    const signed = await vdcReady(`${tarball} --certificate certificate.json --key vdc-ready.key`);
    expect(signed).toMatchObject({ code: 0, stdout: expect.stringContaining("The certificate of success is in") });
    const folder = project.install(tarball);
    const verified = await vdcReady(
      `verify certificate.json --key vdc-ready.key.pub --tarball ${tarball} --installed @acme/vdc-vault`,
    );
    expect(verified.stdout).toMatch(
      /^The signature is right: sha256:.*\n'acme-vdc-vault-1\.2\.0\.tgz' is the tarball that was certified\nwhat is installed as '@acme\/vdc-vault' is what was certified\n@acme\/vdc-vault 1\.2\.0: success/,
    );
    expect(verified.code).toBe(0);

    // The kernel of an application in which the package is installed.
    const module = pathToFileURL(join(folder, "dist/index.js")).href;
    const { default: plugin } = (await import(module)) as { readonly default: Plugin };
    const rule = {
      plugin: "@acme/vdc-vault",
      module,
      certificate: join(project.folder, "certificate.json"),
      signers: [read("vdc-ready.key.pub")],
    };
    const start = async (): Promise<unknown> => {
      const plugins = [use(plugin, { config: { id: "1" }, policy: "optional" })];
      await using kernel = new Kernel({ plugins, policy: { certified: [rule], uncertified: "refuse" } });
      const [report] = (await kernel.start()).plugins;
      return report?.cause?.reason ?? report?.state;
    };
    expect(await start()).toBe("ready");

    // One byte.
    writeFileSync(join(folder, "dist/certification.js"), `${read("dist/certification.js").trimEnd()} `);
    expect(await start()).toBe("VDC_CERTIFICATE_DIGEST");
    const installed = await vdcReady("verify certificate.json --key vdc-ready.key.pub --installed @acme/vdc-vault");
    expect(installed).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/dirHash is [0-9a-f]{64}, and the certificate says/),
    });
    const bytes = readFileSync(join(project.folder, tarball));
    bytes[4] = (bytes[4] ?? 0) ^ 1;
    writeFileSync(join(project.folder, tarball), bytes);
    const other = await vdcReady(`verify certificate.json --key vdc-ready.key.pub --tarball ${tarball}`);
    expect(other).toMatchObject({ code: 2, stderr: expect.stringContaining("its sha256 is") });
  });

  it("is refused with another key, and when it was changed", async () => {
    await vdcReady("key mine.key");
    await vdcReady("key other.key");
    await vdcReady(`${project.pack()} --quiet --certificate c.json --key mine.key`);
    expect(await vdcReady("verify c.json --key other.key.pub")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("none of the signers that are trusted"),
    });
    const envelope = JSON.parse(read("c.json")) as { payload: string };
    const payload = Buffer.from(envelope.payload, "base64")
      .toString()
      .replace('"partial"', '"success"')
      .replace("1.2.0", "1.2.1");
    project.write({ "c.json": JSON.stringify({ ...envelope, payload: Buffer.from(payload).toString("base64") }) });
    expect(await vdcReady("verify c.json --key mine.key.pub")).toMatchObject({ code: 2 });
    project.write({ "c.json": "{" });
    expect(await vdcReady("verify c.json --key mine.key.pub")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("is no certificate"),
    });
    expect(await vdcReady("verify c.json")).toMatchObject({ code: 2, stderr: expect.stringContaining("--key") });
  });

  it("is not issued for a folder, a part or a failure, nor with a key that others can read", async () => {
    await vdcReady("key");
    const sign = "--certificate c.json --key vdc-ready.key";
    const refused = async (line: string, text: string): Promise<void> => {
      const { code, stdout, stderr } = await vdcReady(line);
      expect(`${stdout}${stderr}`).toContain(text);
      expect(code).not.toBe(0);
      expect(existsSync(join(project.folder, "c.json"))).toBe(false);
    };
    await refused(`. ${sign}`, "'--pack' to have the folder packed");
    await refused(`${project.pack()} --only secret.put ${sign}`, "a part of the requirements certifies nothing");
    await refused(`${project.pack()} --transport direct ${sign}`, "a part of the requirements certifies nothing");
    await refused(`${project.pack()} --certificate c.json`, "needs '--key'");
    await refused(`${project.pack()} --certificate c.json --key vdc-ready.key.pub`, "");
    project.write({ "dist/index.js": vaultPlugin("Vault.prototype.remove = async () => {};") });
    await refused(`${project.pack()} ${sign}`, "a failure is not certified");
    project.write({ "open.key": read("vdc-ready.key") });
    await refused(`${project.pack()} --certificate c.json --key open.key`, "chmod 600");
  });
});
