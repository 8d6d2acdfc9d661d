import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CapturedFrame } from "@vdc-os/core/network/v1";
import { readCapture } from "@vdc-os/pcap";
import { expect, test } from "vitest";
import { formatBitRate } from "../terminal/bit-rate.ts";
import { buildFrame, parseFrame } from "./build-frame.ts";
import { openCaptureFile, writeCapture } from "./write-capture.ts";

const macs = { to: "52:54:00:00:00:02", from: "52-54-00-00-00-01" };

test("a frame is built from what was said of it", () => {
  expect(buildFrame(macs).toString("hex")).toMatch(/^52540000000252540000000188b50{92}$/);
  const tagged = buildFrame({ ...macs, vlan: 20, protocol: "tcp", destinationPort: 5432, destinationIp: "10.0.0.9" });
  expect(tagged.subarray(12, 18).toString("hex")).toBe("810000140800");
  expect(tagged.readUInt8(18 + 9)).toBe(6);
  expect(tagged.readUInt16BE(18 + 22)).toBe(5432);
  // The header's own checksum comes out right.
  let sum = 0;
  for (let at = 18; at < 38; at += 2) sum += tagged.readUInt16BE(at);
  expect((sum & 0xffff) + (sum >>> 16)).toBe(0xffff);
  expect(parseFrame("5254:0000 0002 525400000001 0806").length).toBe(14);
  for (const wrong of [() => parseFrame("52"), () => parseFrame("xyz"), () => buildFrame({ ...macs, to: "web" })])
    expect(wrong).toThrow(expect.objectContaining({ reason: "VDC_USAGE" }));
});

test("rates are told in powers of 1000", () => {
  expect([0, 0.4, 12, 999.6, 1500, 98_400_000, 2e9].map(formatBitRate)).toEqual([
    ...["0", "0", "12 bit/s", "1 kbit/s", "1.5 kbit/s", "98.4 Mbit/s", "2 Gbit/s"],
  ]);
});

test("a capture that is ended is a whole file, which only its owner reads", async () => {
  const folder = await mkdtemp(join(tmpdir(), "vdc-capture-"));
  try {
    for (const format of ["pcapng", "pcap"] as const) {
      const ending = new AbortController();
      async function* frames(): AsyncGenerator<CapturedFrame> {
        const frame = { direction: "in", originalLength: 60, data: buildFrame(macs).toString("base64") } as const;
        yield { ...frame, atMicroseconds: 1_700_000_000_000_001, missed: 0, dropped: "blocked" };
        yield { ...frame, atMicroseconds: 1_700_000_000_000_002, missed: 4 };
        ending.abort();
        throw new Error("cancelled");
      }
      const path = join(folder, `x.${format}`);
      const sink = await openCaptureFile(path);
      const options = { format, label: "web-1/nic0", snapLength: 65_535, comment: "a test", signal: ending.signal };
      const totals = await writeCapture(frames(), sink, options);
      await sink.close();
      expect(totals).toEqual({ frames: 2, bytes: 120, missed: 4, dropped: 1 });
      const read = readCapture(await readFile(path));
      expect(read.format).toBe(format);
      expect(read.packets.map(({ timeNs }) => timeNs)).toEqual([
        1_700_000_000_000_001_000n,
        1_700_000_000_000_002_000n,
      ]);
      if (format === "pcapng") {
        expect(read.packets[0]).toMatchObject({ interfaceName: "web-1/nic0", comment: "dropped: blocked" });
        expect(read.packets[1]).toMatchObject({ missed: 4 });
      }
      expect((await stat(path)).mode & 0o777).toBe(0o600);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});
