import { appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CertifiedPackage, createSigner } from "../certificate/test/certified-package.ts";
import type { CertificateStatement } from "../certificate/certificate.ts";
import type { CertifiedPlugin } from "../certificate/certified-plugin.ts";
import { definePlugin, type Plugin } from "../plugin/define-plugin.ts";
import { isolated } from "../remote/isolated.ts";
import { Kernel } from "./kernel.ts";
import { use } from "./plugin-registration.ts";

const signer = createSigner();
let own: CertifiedPackage;

beforeEach(async () => {
  own = await CertifiedPackage.create();
});

afterEach(async () => {
  await own[Symbol.asyncDispose]();
});

async function rule(change: Partial<CertifiedPlugin> = {}): Promise<CertifiedPlugin> {
  const { packageName: plugin } = CertifiedPackage;
  return { plugin, module: own.module, certificate: await own.certify(signer), signers: [signer.pem], ...change };
}

async function load(): Promise<Plugin> {
  return ((await import(own.module)) as { readonly default: Plugin }).default;
}

/** How the plugin's start ends. */
async function start(certified: CertifiedPlugin, plugin?: Plugin): Promise<string> {
  const registration = use(plugin ?? (await load()), { policy: "optional" });
  await using kernel = new Kernel({ plugins: [registration], policy: { certified: [certified] } });
  const { plugins } = await kernel.start();
  const [report] = plugins;
  return report?.cause === undefined
    ? (report?.state ?? "not there")
    : `${report.cause.reason}: ${report.cause.message}`;
}

/** A certificate that says something else. */
function saying(change: (statement: CertificateStatement) => object): Promise<CertifiedPlugin> {
  return own.certify(signer, change).then((certificate) => rule({ certificate }));
}

describe("a kernel whose policy asks for a certificate", () => {
  it("starts the plugin that was certified, also with its certificate in a file", async () => {
    expect(await start(await rule())).toBe("ready");
    const path = join(own.root, "certificate.json");
    await writeFile(path, JSON.stringify(await own.certify(signer)));
    expect(await start(await rule({ certificate: path }))).toBe("ready");
  });

  it("refuses it when one byte of its files is another, and runs no more of it", async () => {
    const certified = await rule();
    const path = join(own.folder, "dist/index.js");
    const text = await readFile(path);
    text[text.length - 3] = (text[text.length - 3] ?? 0) ^ 1;
    await writeFile(path, text);
    const plugin = definePlugin({
      name: CertifiedPackage.packageName,
      version: "1.2.0",
      core: "0.1",
      summary: "",
      setup: () => expect.unreachable(),
    });
    expect(await start(certified, plugin)).toMatch(
      /^VDC_CERTIFICATE_DIGEST: .*'@acme\/vdc-vault'.*dirHash is [0-9a-f]{64}/,
    );
  });

  it.each([
    ["a file that was added", "dist/more.js"],
    ["a file that was lengthened", "package.json"],
  ])("refuses it for %s", async (_what, path) => {
    const certified = await rule();
    await appendFile(join(own.folder, path), " ");
    expect(await start(certified)).toMatch(/^VDC_CERTIFICATE_DIGEST/);
  });

  it("does not mind what an installer adds", async () => {
    const certified = await rule();
    await writeFile(join(own.folder, "node_modules/.bin/more"), "");
    expect(await start(certified)).toBe("ready");
  });

  it("refuses another signer's certificate, and one that was changed after it was signed", async () => {
    expect(await start(await rule({ certificate: await own.certify(createSigner()) }))).toMatch(
      /^VDC_CERTIFICATE_SIGNER/,
    );
    const certificate = await own.certify(signer);
    const payload = Buffer.from(certificate.payload, "base64").toString().replace("1.0", "1.1");
    const forged = { ...certificate, payload: Buffer.from(payload).toString("base64") };
    expect(await start(await rule({ certificate: forged }))).toMatch(/^VDC_CERTIFICATE_SIGNER/);
  });

  it("refuses a contract of another version, and one that was not certified", async () => {
    const suites = (change: object) => (statement: CertificateStatement) => ({
      ...statement,
      predicate: {
        ...statement.predicate,
        suites: statement.predicate.suites.map((suite) => ({ ...suite, ...change })),
      },
    });
    expect(await start(await saying(suites({ contractVersion: "1.7" })))).toMatch(
      /^VDC_CERTIFICATE_CONTRACT: .*version 1\.7 of 'vdc\.secret', and this is 1\.0: certify it again/,
    );
    expect(await start(await saying(suites({ point: "vdc.state" })))).toMatch(/^VDC_CERTIFICATE_CONTRACT/);
    expect(await start(await saying(suites({ verdict: "partial" })))).toMatch(/^VDC_CERTIFICATE_RESULT/);
  });

  it("refuses a result that is no success, another version, and what is no certificate", async () => {
    const partial = await saying((statement) => ({
      ...statement,
      predicate: { ...statement.predicate, verdict: "partial" },
    }));
    expect(await start(partial)).toMatch(/^VDC_CERTIFICATE_RESULT: .*'partial'/);
    const another = await saying(({ subject: [subject], ...rest }) => ({
      ...rest,
      subject: [{ ...subject, name: "pkg:npm/%40acme/vdc-vault@9.9.9" }],
    }));
    expect(await start(another)).toMatch(/^VDC_CERTIFICATE_DIGEST/);
    expect(await start(await saying(() => ({ hello: "world" })))).toMatch(/^VDC_CERTIFICATE_INVALID/);
    expect(await start(await rule({ certificate: join(own.root, "none.json") }))).toMatch(/^VDC_CERTIFICATE_MISSING/);
  });

  it("refuses a plugin that is not what the certified module exports", async () => {
    const { packageName: name } = CertifiedPackage;
    const other = definePlugin({ name, version: "1.2.0", core: "0.1", summary: "", setup: () => undefined });
    expect(await start(await rule(), other)).toMatch(
      /^VDC_CERTIFICATE_DIGEST: plugin '@acme\/vdc-vault' is not what module/,
    );
  });

  it("refuses a child process of another module before there is one", async () => {
    const child = isolated(await load(), { module: "file:///nowhere/other.js" });
    expect(await start(await rule(), child)).toMatch(
      /^VDC_CERTIFICATE_DIGEST: plugin '@acme\/vdc-vault' is not what module/,
    );
  });

  it("does not exchange a plugin for one that is not certified, and the old one goes on", async () => {
    const plugin = await load();
    await using kernel = new Kernel({ plugins: [use(plugin)], policy: { certified: [await rule()] } });
    await kernel.start();
    const { name, version, core, summary } = plugin.manifest;
    const other = definePlugin({ name, version, core, summary, setup: () => expect.unreachable() });
    await expect(kernel.replace(name, other)).rejects.toMatchObject({ reason: "VDC_CERTIFICATE_DIGEST" });
    expect(kernel.status(name).state).toBe("ready");
  });

  it("is not started when it is required and refused", async () => {
    const kernel = new Kernel({ plugins: [use(await load())], policy: { certified: [await rule({ signers: [] })] } });
    await expect(kernel.start()).rejects.toMatchObject({ reason: "VDC_KERNEL_START_FAILED" });
  });

  it("lets others be, or refuses them all", async () => {
    const other = definePlugin({ name: "other", version: "1.0.0", core: "0.1", summary: "", setup: () => undefined });
    await using allowing = new Kernel({ plugins: [use(other)], policy: { certified: [await rule()] } });
    expect((await allowing.start()).ok).toBe(true);
    const refusing = new Kernel({ plugins: [use(other, { policy: "optional" })], policy: { uncertified: "refuse" } });
    const { plugins } = await refusing.start();
    expect(plugins[0]?.cause?.reason).toBe("VDC_CERTIFICATE_MISSING");
    await refusing.stop();
  });
});
