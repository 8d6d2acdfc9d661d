import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import {
  type Certificate,
  type CertificateStatement,
  certificateType,
  packageUrl,
  statementPayloadType,
  statementType,
} from "../certificate.ts";
import { type Envelope, signEnvelope } from "../dsse-envelope.ts";
import { dirHash, readPackageFiles } from "../package-digest.ts";

/** A signer, for tests. */
export interface TestSigner {
  readonly key: KeyObject;
  readonly pem: string;
}

export function createSigner(): TestSigner {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return { key: privateKey, pem: publicKey.export({ type: "spki", format: "pem" }) as string };
}

/** A package with a plugin of `vdc.secret`, in a folder of its own, as an installer leaves it. */
export class CertifiedPackage {
  static readonly packageName: string = "@acme/vdc-vault";
  readonly root: string;

  private constructor(root: string) {
    this.root = root;
  }

  static async create(): Promise<CertifiedPackage> {
    const own = new CertifiedPackage(await mkdtemp(join(tmpdir(), "vdc-certified-")));
    const core = new URL("../../", import.meta.url).href;
    await mkdir(join(own.folder, "dist"), { recursive: true });
    await mkdir(join(own.folder, "node_modules/.bin"), { recursive: true });
    const manifest = {
      name: CertifiedPackage.packageName,
      version: "1.2.0",
      type: "module",
      exports: "./dist/index.js",
    };
    await writeFile(join(own.folder, "package.json"), JSON.stringify(manifest));
    await writeFile(join(own.folder, "node_modules/.bin/what-an-installer-adds"), "");
    await writeFile(
      join(own.folder, "dist/index.js"),
      `import { definePlugin, provides } from "${core}index.ts";
import { secretStore } from "${core}secret/v1/index.ts";
globalThis.vaultSetups = 0;
export default definePlugin({
  name: "@acme/vdc-vault", version: "1.2.0", core: "0.1", summary: "A vault.",
  provides: [provides(secretStore, { name: "vault" })],
  setup(context) { globalThis.vaultSetups++; context.provide(secretStore, { describe: async () => ({}) }, { name: "vault" }); },
});
`,
    );
    return own;
  }

  get folder(): string {
    return join(this.root, "node_modules", CertifiedPackage.packageName);
  }

  get module(): string {
    return pathToFileURL(join(this.folder, "dist/index.js")).href;
  }

  /** What a kit would sign of the package as it is now. */
  async certify(
    signer: TestSigner,
    change: (statement: CertificateStatement) => object = (same) => same,
  ): Promise<Envelope> {
    const predicate: Certificate = {
      plugin: { name: CertifiedPackage.packageName, version: "1.2.0" },
      kitVersion: "0.1.0",
      coreVersion: "0.1.0",
      environment: "node 24",
      issuedAt: "2026-01-01T00:00:00.000Z",
      verdict: "success",
      suites: [
        {
          point: "vdc.secret",
          contractVersion: "1.0",
          verdict: "success",
          profiles: [{ level: "core", result: "success" }],
          results: [{ id: "secret.put.value", transport: "direct", status: "pass" }],
        },
      ],
      waivers: [],
    };
    const statement: CertificateStatement = {
      _type: statementType,
      subject: [
        {
          name: packageUrl(CertifiedPackage.packageName, "1.2.0"),
          digest: { sha256: "0".repeat(64), dirHash: dirHash(await readPackageFiles(this.folder)) },
        },
      ],
      predicateType: certificateType,
      predicate,
    };
    const payload = Buffer.from(JSON.stringify(change(statement)));
    return signEnvelope(payload, { payloadType: statementPayloadType, key: signer.key });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.root, { recursive: true, force: true });
  }
}
