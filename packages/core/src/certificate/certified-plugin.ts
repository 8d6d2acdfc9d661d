import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { toVdcError, VdcError } from "../error/vdc-error.ts";
import type { Envelope } from "./dsse-envelope.ts";
import { dirHash, readPackageFiles } from "./package-digest.ts";
import {
  assertCertified,
  type CertifiedExpectation,
  type VerifiedCertificate,
  verifyCertificate,
} from "./verify-certificate.ts";

/** A plugin that must be certified, and how that is known. */
export interface CertifiedPlugin {
  /** The name of its package. */
  readonly plugin: string;
  /** The module that it is loaded from: what `import.meta.resolve` gives for the package, said by who imports it. */
  readonly module: string;
  /** The path of its certificate's file, or what is in there. */
  readonly certificate: string | Envelope;
  /** Whose certificates count: ed25519 public keys, as PEM. */
  readonly signers: readonly string[];
}

/** Options of {@link checkInstalledPlugin}. */
export interface CheckInstalledPluginOptions {
  /** The points that must have been certified. Defaults to what the certificate says. */
  readonly points?: CertifiedExpectation["points"];
  readonly signal?: AbortSignal | undefined;
}

/** A certificate is a few hundred kilobytes at most. */
const maxCertificateBytes = 8 * 2 ** 20;

/**
 * Holds a plugin as it is installed against its certificate, and runs none of its code: a program that calls this before it imports the
 * plugin imports what was tested. A kernel does the same, by `policy`. Rejects as `verifyCertificate` and `assertCertified` do, and with
 * `NOT_FOUND`, `VDC_CERTIFICATE_MISSING`, when there is no certificate at the path.
 */
export async function checkInstalledPlugin(
  rule: CertifiedPlugin,
  { points = [], signal }: CheckInstalledPluginOptions = {},
): Promise<VerifiedCertificate> {
  try {
    const { signers } = rule;
    const verified = verifyCertificate(await readCertificate(rule.certificate), { signers });
    const { folder, name, version } = await findPackage(rule.module);
    if (name !== rule.plugin) {
      throw new VdcError("PERMISSION_DENIED", `module '${rule.module}' belongs to package '${name}'`, {
        reason: "VDC_CERTIFICATE_DIGEST",
      });
    }
    const digest = dirHash(await readPackageFiles(folder, signal));
    assertCertified(verified.statement, { name, version, points, dirHash: digest });
    return verified;
  } catch (error) {
    throw inContext(rule.plugin, error);
  }
}

async function readCertificate(certificate: string | Envelope): Promise<unknown> {
  if (typeof certificate !== "string") return certificate;
  let text: Buffer;
  try {
    text = await readFile(certificate);
  } catch (cause) {
    throw new VdcError("NOT_FOUND", `'${certificate}' can't be read`, { reason: "VDC_CERTIFICATE_MISSING", cause });
  }
  try {
    if (text.length > maxCertificateBytes) throw new RangeError(`it has ${text.length} bytes`);
    return JSON.parse(text.toString("utf8"));
  } catch (cause) {
    throw new VdcError("INVALID_ARGUMENT", `'${certificate}' is no certificate`, {
      reason: "VDC_CERTIFICATE_INVALID",
      cause,
    });
  }
}

interface FoundPackage {
  readonly folder: string;
  readonly name: string;
  readonly version: string;
}

/** The package that a module is in: the next `package.json` above it that has a name. */
async function findPackage(module: string): Promise<FoundPackage> {
  const path = module.startsWith("file:") ? fileURLToPath(module) : module;
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const text = await readFile(join(folder, "package.json"), "utf8").catch(() => "{}");
    const { name, version } = JSON.parse(text) as { readonly name?: unknown; readonly version?: unknown };
    if (typeof name === "string" && typeof version === "string") return { folder, name, version };
    if (folder === dirname(folder)) {
      throw new VdcError("NOT_FOUND", `module '${module}' is in no package`, { reason: "VDC_CERTIFICATE_DIGEST" });
    }
  }
}

function inContext(plugin: string, cause: unknown): VdcError {
  const { code, reason, message } = toVdcError(cause);
  return new VdcError(code, `the certificate of plugin '${plugin}' does not hold: ${message}`, {
    reason,
    plugin,
    cause,
  });
}
