import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missingPrograms } from "@vdc-os/testing";
import { describe, expect, it } from "vitest";
import { type AnnotatedPacket, pcapFile, pcapngFile } from "../src/index.ts";

const skip = missingPrograms(["tshark", "capinfos"], "nobody else judges the capture files");

/** An ARP request, 60 octets. */
const arp = Buffer.concat([
  Buffer.from("ffffffffffff5254000000010806000108000604000152540000000" + "1c0000201000000000000c0000202", "hex"),
  Buffer.alloc(18),
]);

const packets: readonly AnnotatedPacket[] = [
  { data: arp, timeNs: 1_700_000_000_123_456_789n, interfaceName: "web-nic0", direction: "in" },
  { data: arp, timeNs: 1_700_000_001_000_000_000n, interfaceName: "db-nic0", direction: "out", comment: "dropped: x" },
  { data: arp.subarray(0, 42), originalLength: 60, timeNs: 1_700_000_002_000_000_000n, interfaceName: "web-nic0" },
];

async function judge(pieces: AsyncIterable<Buffer>, program: string, args: readonly string[]): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "vdc-pcap-"));
  try {
    const path = join(directory, "capture");
    const bytes: Buffer[] = [];
    for await (const piece of pieces) bytes.push(piece);
    writeFileSync(path, Buffer.concat(bytes));
    const env = { ...process.env, HOME: directory, XDG_CONFIG_HOME: directory, TZ: "UTC", LC_ALL: "C" };
    const given = args.map((arg) => (arg === "FILE" ? path : arg));
    const { status, stdout, stderr } = spawnSync(program, given, { encoding: "utf8", timeout: 50_000, env });
    if (status !== 0) throw new Error(`${program} ended with ${status}: ${stderr}`);
    return stdout;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describe.skipIf(skip)("capture files, judged by Wireshark's programs", () => {
  const fields = ["frame.time_epoch", "frame.cap_len", "frame.len", "arp.dst.proto_ipv4", "_ws.malformed"];
  const dissect = ["-r", "FILE", "-n", "-T", "fields", "-E", "separator=|", ...fields.flatMap((name) => ["-e", name])];
  const lines = [
    "1700000000.123456789|60|60|192.0.2.2|",
    "1700000001.000000000|60|60|192.0.2.2|",
    "1700000002.000000000|42|60|192.0.2.2|",
  ];

  it("are read by tshark, packet by packet", async () => {
    for (const pieces of [pcapFile(packets), pcapngFile(packets)])
      expect((await judge(pieces, "tshark", dissect)).trimEnd().split("\n")).toEqual(lines);
  });

  it("tell tshark more where they are pcapng", async () => {
    const more = ["frame.interface_name", "frame.packet_flags_direction", "frame.comment"];
    const args = [...dissect.slice(0, 7), ...more.flatMap((name) => ["-e", name])];
    const said = await judge(pcapngFile(packets), "tshark", args);
    expect(said.trimEnd().split("\n")).toEqual(["web-nic0|0x00000001|", "db-nic0|0x00000002|dropped: x", "web-nic0||"]);
  });

  it("are of the type and number of packets that capinfos tells", async () => {
    expect(await judge(pcapFile(packets), "capinfos", ["-t", "-E", "-c", "FILE"])).toMatch(
      /nanosecond[\s\S]*Ethernet[\s\S]*packets: +3/,
    );
    const said = await judge(pcapngFile(packets, { application: "a test" }), "capinfos", ["FILE"]);
    expect(said).toMatch(/pcapng/);
    expect(said).toMatch(/Capture application: +a test/);
    expect(said).toMatch(/Number of interfaces in file: +2/);
  });
});
