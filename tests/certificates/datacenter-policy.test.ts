import { generateKeyPairSync } from "node:crypto";
import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Plugin } from "@vdc-os/core";
import type { Envelope } from "@vdc-os/core/certificate";
import { type KernelPolicy, use } from "@vdc-os/core/kernel";
import { simulator } from "@vdc-os/plugin-simulator";
import { certify, issueCertificate } from "@vdc-os/ready";
import { createDatacenter } from "@vdc-os/sdk";
import { afterAll, beforeAll, expect, it } from "vitest";
import { VaultProject } from "./vault-project.ts";

const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const signers = [publicKey.export({ type: "spki", format: "pem" }) as string];
const name = "@acme/vdc-vault";

let project: VaultProject;
let installed: string;
let module: string;
let vault: Plugin;
let certificate: Envelope;
let place: string;

beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), "vdc-dc-"));
  project = new VaultProject();
  const tarball = project.pack();
  const report = await certify({ package: tarball, cwd: project.folder });
  expect(report.verdict).toBe("success");
  certificate = issueCertificate(report, { key: privateKey });
  installed = project.install(tarball);
  module = pathToFileURL(join(installed, "dist/index.js")).href;
  vault = ((await import(module)) as { readonly default: Plugin }).default;
});

afterAll(async () => {
  project[Symbol.dispose]();
  await rm(place, { recursive: true, force: true });
});

/** Opens a datacenter with the vault and a simulated state store, keeps a secret in it, and says how that went. */
async function open(policy: KernelPolicy): Promise<string> {
  const plugins = [use(simulator({ hosts: [], points: ["state"] })), use(vault, { config: { id: "1" } })];
  const directory = join(place, "dc");
  try {
    await using dc = await createDatacenter({ directory, mode: "ephemeral", plugins, policy });
    await dc.secrets.put({ name: "password", value: "correct horse" });
    return (await dc.secrets.resolve({ name: "password" })).value;
  } catch (error) {
    return (error as Error).message;
  }
}

const certified = () => [{ plugin: name, module, certificate, signers }];

it("starts with a plugin that was certified", async () => {
  expect(await open({ certified: certified() })).toBe("correct horse");
});

it("refuses a plugin without a certificate, and says which", async () => {
  const refused = await open({ certified: certified(), uncertified: "refuse" });
  expect(refused).toMatch(/plugin '@vdc-os\/plugin-simulator' may not start: the kernel's policy names no certificate/);
});

it("refuses a certificate of somebody else", async () => {
  const other = generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" }) as string;
  const refused = await open({ certified: [{ plugin: name, module, certificate, signers: [other] }] });
  expect(refused).toMatch(/'@acme\/vdc-vault'.*none of the signers that are trusted/s);
});

it("refuses a plugin that is not what was certified any more, and leaves nothing", async () => {
  await appendFile(join(installed, "dist/certification.js"), " ");
  const refused = await open({ certified: certified() });
  expect(refused).toMatch(/'@acme\/vdc-vault'.*dirHash is [0-9a-f]{64}, and the certificate says [0-9a-f]{64}/s);
});
