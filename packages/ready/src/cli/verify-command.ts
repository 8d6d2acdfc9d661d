import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { VdcError } from "@vdc-os/core";
import { assertCertified, dirHash, verifyCertificate } from "@vdc-os/core/certificate";
import { findPackage } from "../certify/find-package.ts";
import { readTarball } from "../certify/read-tarball.ts";
import type { CommandLine } from "./run-command-line.ts";

/** What was asked, as `parseArgs` found it. */
export interface VerifyFlags {
  readonly key?: string | undefined;
  readonly tarball?: string | undefined;
  readonly installed?: string | undefined;
}

/** Checks who signed a certificate, and that it is about a tarball or an installed package. Returns the exit code. */
export async function runVerify(path: string, flags: VerifyFlags, { cwd, stdout }: CommandLine): Promise<number> {
  if (flags.key === undefined) {
    throw new VdcError("INVALID_ARGUMENT", "give the public key of a signer that you trust: '--key <file>'");
  }
  const signer = await readText(resolve(cwd, flags.key));
  const { statement, keyId } = verifyCertificate(parseJson(await readText(resolve(cwd, path)), path), {
    signers: [signer],
  });
  const { predicate, subject } = statement;
  const { name, version } = predicate.plugin;
  const points = predicate.suites.map(({ point, contractVersion }) => ({ id: point, version: contractVersion }));
  const checked: string[] = [];
  if (flags.tarball !== undefined) {
    const { sha256, files } = await readTarball(resolve(cwd, flags.tarball));
    assertCertified(statement, { name, version, sha256, dirHash: dirHash(files), points });
    checked.push(`'${flags.tarball}' is the tarball that was certified`);
  }
  if (flags.installed !== undefined) {
    await using found = await findPackage(flags.installed, { cwd });
    const { kind, manifest, dirHash: digest } = found;
    if (kind !== "installed") throw new VdcError("INVALID_ARGUMENT", "'--installed' takes the name of a package");
    assertCertified(statement, { name: manifest.name, version: manifest.version, dirHash: digest, points });
    checked.push(`what is installed as '${flags.installed}' is what was certified`);
  }
  const suites = predicate.suites.map(({ point, contractVersion, verdict, profiles, results }) => {
    const facets = profiles.flatMap(({ facet, result }) => (facet === undefined ? [] : [`${facet} ${result}`]));
    const passed = results.filter(({ status }) => status === "pass").length;
    return `  ${point} ${contractVersion}: ${verdict}, ${passed} passed${facets.length === 0 ? "" : `; ${facets.join(", ")}`}`;
  });
  stdout.write(
    `${[
      `The signature is right: ${keyId}`,
      ...checked,
      `${name} ${version}: ${predicate.verdict}, by @vdc-os/ready ${predicate.kitVersion}, ${predicate.issuedAt}, ${predicate.environment}`,
      ...suites,
      ...predicate.waivers.map(
        ({ requirement, reason, expires }) => `  waived until ${expires}: ${requirement}: ${reason}`,
      ),
      ...(checked.length > 0
        ? []
        : [
            `Nothing was held against it: '--tarball' or '--installed' does. It is for sha256 ${subject[0].digest.sha256}`,
          ]),
    ].join("\n")}\n`,
  );
  return predicate.verdict === "success" ? 0 : 3;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new VdcError("NOT_FOUND", `'${path}' can't be read: ${(cause as Error).message}`, { cause });
  }
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new VdcError("INVALID_ARGUMENT", `'${path}' is no certificate`, { reason: "VDC_CERTIFICATE_INVALID", cause });
  }
}
