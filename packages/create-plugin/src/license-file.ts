import { readFileSync } from "node:fs";

/** The licences that a package can have, by their SPDX identifiers. `UNLICENSED` gives nobody any right, as npm understands it. */
export type LicenseName = (typeof licenseNames)[number];

/** The licences, the default first. */
export const licenseNames = ["Apache-2.0", "MIT", "UNLICENSED"] as const;

/** The text of a licence, for the file `LICENSE` of a package. */
export function licenseFile(license: LicenseName, packageName: string): string {
  const text = readFileSync(new URL(`../licenses/${license}.txt`, import.meta.url), "utf8");
  const year = String(new Date().getFullYear());
  return text.replace("<year>", year).replace("<holder>", `the authors of ${packageName}`);
}
