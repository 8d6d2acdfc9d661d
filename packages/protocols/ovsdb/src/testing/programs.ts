import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { FixtureError } from "./fixture-error.ts";

/** What a test wants to run. */
export type DaemonSuite = "ovsdb" | "openvswitch" | "ovn";

const OVSDB = ["ovsdb-server", "ovsdb-tool", "ovsdb-client"];
const OPEN_VSWITCH = [...OVSDB, "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl"];
const PROGRAMS: Readonly<Record<DaemonSuite, readonly string[]>> = {
  ovsdb: OVSDB,
  openvswitch: OPEN_VSWITCH,
  ovn: [...OPEN_VSWITCH, "ovn-northd", "ovn-controller", "ovn-nbctl", "ovn-sbctl"],
};
const SCHEMAS: Readonly<Record<DaemonSuite, readonly SchemaName[]>> = {
  ovsdb: [],
  openvswitch: ["vswitch"],
  ovn: ["vswitch", "ovn-nb", "ovn-sb"],
};

/** Schemas that the packages of Open vSwitch and OVN bring along. */
export type SchemaName = "vswitch" | "ovn-nb" | "ovn-sb";

const SCHEMA_FOLDERS = [
  "/usr/share/openvswitch",
  "/usr/share/ovn",
  "/usr/local/share/openvswitch",
  "/usr/local/share/ovn",
];

/**
 * The programs and schema files of a suite that are not on this machine; empty when a test can run. They come with Debian's
 * `openvswitch-switch`, `ovn-central` and `ovn-host`.
 *
 * @example
 * ```ts
 * const missing = missingPrograms("openvswitch");
 * if (missing.length > 0 && process.env.CI) throw new Error(`not installed: ${missing.join(", ")}`);
 * describe.skipIf(missing.length > 0)("against Open vSwitch", () => {});
 * ```
 */
export function missingPrograms(suite: DaemonSuite): readonly string[] {
  return [
    ...PROGRAMS[suite].filter((name) => lookUp(name) === undefined),
    ...SCHEMAS[suite].filter((name) => lookUpSchema(name) === undefined).map((name) => `${name}.ovsschema`),
  ];
}

/** The absolute path of a program. The `sbin` folders are looked in too: not everybody has them on the path. */
export function findProgram(name: string): string {
  const path = lookUp(name);
  if (path === undefined) throw new FixtureError("MISSING_PROGRAM", `'${name}' is not installed`);
  return path;
}

/** The path of an installed schema file. */
export function findSchema(name: SchemaName): string {
  const path = lookUpSchema(name);
  if (path === undefined) throw new FixtureError("MISSING_PROGRAM", `'${name}.ovsschema' is not installed`);
  return path;
}

function lookUp(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin", "/sbin"];
  return folders.map((folder) => join(folder, name)).find((path) => isThere(path, constants.X_OK));
}

function lookUpSchema(name: SchemaName): string | undefined {
  return SCHEMA_FOLDERS.map((folder) => join(folder, `${name}.ovsschema`)).find((path) =>
    isThere(path, constants.R_OK),
  );
}

function isThere(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
