import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AnnotatedPacket, PcapngWriter } from "@vdc-os/pcap";
import { missingPrograms } from "@vdc-os/testing";

/** Whether `tshark` is here. */
export function hasTshark(): boolean {
  return !missingPrograms(["tshark"], "nobody else judges what is emitted");
}

export interface DissectOptions {
  /** Such as `udp.port==4739,cflow`. */
  readonly decodeAs?: readonly string[];
  /** Preferences, such as `ip.check_checksum:TRUE`. */
  readonly preferences?: readonly string[];
}

const CHECKS = ["ip.check_checksum:TRUE", "udp.check_checksum:TRUE", "tcp.check_checksum:TRUE"];

/**
 * Has tshark dissect a capture file and returns the asked fields of each packet, empty where it has none. Throws when a packet is
 * malformed or has an expert finding of level warning or above.
 */
export function dissectFile(file: Buffer, fields: readonly string[], options: DissectOptions = {}): string[][] {
  const directory = mkdtempSync(join(tmpdir(), "vdc-tshark-"));
  const path = join(directory, "capture");
  const args = [
    ...["-r", path, "-n", "-T", "fields", "-E", "separator=\t", "-E", "occurrence=a"],
    ...[...CHECKS, ...(options.preferences ?? [])].flatMap((each) => ["-o", each]),
    ...(options.decodeAs ?? []).flatMap((each) => ["-d", each]),
    ...["_ws.malformed", "_ws.expert.severity", "_ws.expert.message", ...fields].flatMap((field) => ["-e", field]),
  ];
  let outcome: SpawnSyncReturns<string>;
  try {
    writeFileSync(path, file);
    // A home of its own: a person's preferences must not decide.
    outcome = runTshark(args, directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
  const { status, stdout, stderr } = outcome;
  if (status !== 0) throw new Error(`tshark ended with ${status}: ${stderr}`);
  return stdout
    .split("\n")
    .slice(0, -1)
    .map((line, index) => {
      const [malformed = "", severities = "", message = "", ...values] = line.split("\t");
      // 0x600000 is a warning, 0x800000 an error.
      const grave = severities.split(",").some((severity) => severity !== "" && Number(severity) >= 0x60_0000);
      if (malformed !== "" || grave) throw new Error(`packet ${index + 1}: ${malformed} ${message}: ${line}`);
      return values;
    });
}

function runTshark(args: readonly string[], home: string): SpawnSyncReturns<string> {
  const env = { ...process.env, HOME: home, XDG_CONFIG_HOME: home, TZ: "UTC" };
  return spawnSync("tshark", args, { encoding: "utf8", timeout: 50_000, maxBuffer: 64 * 1024 * 1024, env });
}

/** {@link dissectFile} of frames. */
export function dissect(
  frames: readonly Uint8Array[],
  fields: readonly string[],
  options: DissectOptions = {},
): string[][] {
  const writer = new PcapngWriter();
  const packets: AnnotatedPacket[] = frames.map((data, index) => ({ data, timeNs: BigInt(index) * 1_000_000n }));
  return dissectFile(
    Buffer.concat([writer.header(), ...packets.map((packet) => writer.packet(packet))]),
    fields,
    options,
  );
}
