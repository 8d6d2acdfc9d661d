// Packs every package, installs the tarballs as a stranger does, certifies the reference plugins, prints a table, and writes the certificates:
// `certify.ts [--out <folder>] [--jobs <n>] [<plugin>...]`. Those that take long are certified by name, and where VDC_DEEP is set. Ends with 1 when a certificate is none of success.
import { createHash } from "node:crypto";
import { accessSync, constants } from "node:fs";
import { copyFile, cp, mkdir, readFile, rm, symlink } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { buildGuestImage } from "@vdc-os/guest-image";
import type { CertificationReport } from "@vdc-os/ready";
import { root } from "../architecture/source-tree.ts";
import { runProgram } from "../packages/run-program.ts";
import { Stranger } from "../packages/stranger.ts";
import { type CertificateRow, countRequirements, formatCertificates } from "./certificate-table.ts";
import { type ReferencePlugin, referencePlugins } from "./reference-plugins.ts";

const noCounts: CertificateRow["counts"] = { passed: 0, "not applicable": 0, waived: 0, skipped: 0, failed: 0 };

/** How long a plugin may take, in milliseconds. */
const timeoutMs = 20 * 60_000;
/** How long a requirement may take: twice the kit's default, since real daemons share the machine with others. */
const requirementTimeoutMs = 60_000;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { out: { type: "string" }, jobs: { type: "string", default: "2" } },
    allowPositionals: true,
  });
  const unknown = positionals.filter((name) => !referencePlugins.some((plugin) => plugin.name === name));
  if (unknown.length > 0) throw new Error(`there is no plugin '${unknown.join("', '")}'`);
  const out = resolve(values.out ?? join(root, ".cache/certificates"));
  await rm(out, { recursive: true, force: true });
  await mkdir(out, { recursive: true });

  const isDeep = process.env.VDC_DEEP !== undefined;
  const wanted = referencePlugins.filter(({ name, deep = false }) =>
    positionals.length > 0 ? positionals.includes(name) : isDeep || !deep,
  );
  const left = positionals.length > 0 ? [] : referencePlugins.filter((plugin) => !wanted.includes(plugin));
  const missing = wanted.flatMap(({ programs = [] }) => programs.filter((program) => !isOnPath(program)));
  if (missing.length > 0 && process.env.CI) throw new Error(`not installed: ${[...new Set(missing)].join(", ")}`);

  // The factory of the hypervisor finds its guest there.
  process.env.VDC_CERTIFY_GUEST = await guestOf(wanted);
  await using stranger = await Stranger.arrive();
  await cp(join(root, "tests/certificates"), stranger.directory, { recursive: true });
  // What factories share with tests is in no registry.
  await symlink(join(root, "packages/testing"), join(stranger.directory, "node_modules/@vdc-os/testing"), "dir");
  const author = new Author(stranger, out);
  await author.makeKey();
  const rows = new Map<string, readonly CertificateRow[]>();
  const queue = [...wanted];
  const work = async (): Promise<void> => {
    for (let plugin = queue.shift(); plugin !== undefined; plugin = queue.shift()) {
      rows.set(plugin.name, await author.certify(plugin));
    }
  };
  await Promise.all(Array.from({ length: Number(values.jobs) }, work));
  const all = wanted.flatMap(({ name }) => rows.get(name) ?? []);
  console.log(`\nCertificates of the reference plugins, from their tarballs\n${formatCertificates(all)}`);
  if (left.length > 0) console.log(`Certified by name and in the deep run: ${left.map(({ name }) => name).join(", ")}`);
  console.log(`They are in '${out}'.`);
  return all.every(({ result }) => result === "success" || result === "not tried") ? 0 : 1;
}

/** Who certifies plugins in the stranger's folder. */
class Author {
  readonly #stranger: Stranger;
  readonly #out: string;

  constructor(stranger: Stranger, out: string) {
    this.#stranger = stranger;
    this.#out = out;
  }

  async makeKey(): Promise<void> {
    const { code, stderr } = await this.#ready("key", "author.key");
    if (code !== 0) throw new Error(stderr);
    await copyFile(join(this.#stranger.directory, "author.key.pub"), join(this.#out, "author.key.pub"));
  }

  /** Certifies a plugin's tarball, and verifies the certificate for it and for what npm installed of it. */
  async certify(plugin: ReferencePlugin): Promise<readonly CertificateRow[]> {
    const { name, factories, programs = [], note = "" } = plugin;
    const absent = programs.filter((program) => !isOnPath(program));
    if (absent.length > 0) {
      console.warn(`SKIPPED, not installed: ${absent.join(", ")}: the certificate of '${name}'`);
      const row = {
        plugin: name,
        point: Object.keys(factories).join(", "),
        counts: noCounts,
        seconds: 0,
        certificate: "",
      };
      return [{ ...row, result: "not tried", note: `not installed: ${absent.join(", ")}` }];
    }
    const { name: packageName, tarball } = this.#stranger.packages.find((one) => one.name.endsWith(`/plugin-${name}`))!;
    const [report, certificate] = [`${name}.report.json`, join(this.#out, `${name}.json`)];
    const said = await this.#ready(
      ...[tarball, "--quiet", "--json", report, "--html", join(this.#out, `${name}.html`)],
      ...["--certificate", certificate, "--key", "author.key"],
      ...Object.entries(factories).flatMap(([suite, path]) => ["--factory", `${suite}=${path}`]),
      ...(plugin.plugin === undefined ? [] : ["--plugin", plugin.plugin]),
      ...["--timeout", String(requirementTimeoutMs)],
    );
    const text = await readFile(join(this.#stranger.directory, report), "utf8").catch(() => undefined);
    if (text === undefined) {
      console.error(`'${name}' could not be certified: ${said.stdout}${said.stderr}`);
      return [{ plugin: name, point: "", counts: noCounts, result: "failure", seconds: 0, certificate: "", note }];
    }
    const { suites, problems, durationMs, verdict } = JSON.parse(text) as CertificationReport;
    for (const problem of problems) console.error(`${name}: ${problem}`);
    for (const { results } of suites) {
      for (const { id, status, transport, message } of results) {
        if (status === "pass" || status === "not-applicable") continue;
        console.error(`${name}: ${status}: ${id} (${transport}): ${message}`);
      }
    }
    const bytes = await readFile(certificate).catch(() => undefined);
    const digest = bytes === undefined ? "" : createHash("sha256").update(bytes).digest("hex");
    const holds = bytes !== undefined && (await this.#verifies(certificate, packageName, tarball));
    return suites.map((suite, at) => ({
      ...{ plugin: at === 0 ? name : "", point: suite.point, counts: countRequirements(suite) },
      result: verdict === "success" && !holds ? "failure" : problems.length > 0 ? "failure" : suite.verdict,
      ...{ seconds: at === 0 ? durationMs / 1000 : 0, certificate: at === 0 ? digest : "", note: at === 0 ? note : "" },
    }));
  }

  async #verifies(certificate: string, packageName: string, tarball: string): Promise<boolean> {
    const args = ["--key", "author.key.pub", "--tarball", tarball, "--installed", packageName];
    const { code, stdout, stderr } = await this.#ready("verify", certificate, ...args);
    if (code !== 0) console.error(`${packageName}: ${stdout}${stderr}`);
    return code === 0;
  }

  #ready(...args: readonly string[]): ReturnType<typeof runProgram> {
    const { directory } = this.#stranger;
    const ready = join(directory, "node_modules/.bin/vdc-ready");
    return runProgram(process.execPath, [...quiet, ready, ...args], { cwd: directory, timeoutMs });
  }
}

const quiet = ["--disable-warning=ExperimentalWarning"];

/** The guest that VMs boot, as JSON. It is built once for this user and kept between runs. */
async function guestOf(wanted: readonly ReferencePlugin[]): Promise<string> {
  if (!wanted.some(({ name, programs = [] }) => name === "qemu" && programs.every(isOnPath))) return "{}";
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "vdc-os");
  const image = await buildGuestImage({
    outputDirectory: join(cache, "guest"),
    cacheDirectory: join(cache, "packages"),
  });
  return JSON.stringify(image);
}

function isOnPath(name: string): boolean {
  return [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"].some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

process.exitCode = await main();
