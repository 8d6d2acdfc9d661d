import { type Clock, createOperationContext, systemClock } from "@vdc-os/core";
import type { CapturedFrame, HealthFinding, PortSetting } from "@vdc-os/core/network/v1";
import { missingPrograms } from "@vdc-os/ovsdb/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { OpenVswitchSwitch } from "../src/control/openvswitch-switch.ts";
import { OpenVswitchFabric } from "./openvswitch-fabric.ts";
import { memoryStore } from "./openvswitch-instance.ts";
import { isUp, open, portOf, SwitchSession, specOf, switchId, untilStatus } from "./switch-session.ts";

const missing = missingPrograms("openvswitch");
if (missing.length > 0) {
  const text = `not installed: ${missing.join(", ")}`;
  if (process.env.CI) throw new Error(text);
  console.warn(`SKIPPED, ${text}: captures and health checks on Open vSwitch`);
}

/** Gives a probe twice as long to arrive: where others work too, daemons may have no turn for a second. */
const patient: Clock = { ...systemClock, sleep: (delayMs, options) => systemClock.sleep(2 * delayMs, options) };

const access: PortSetting = { ...open, vlan: { kind: "access", id: 20 } };

function frameOf(from: string, text: string, tag?: number): Buffer {
  const tagged = tag === undefined ? "" : `8100${tag.toString(16).padStart(4, "0")}`;
  const head = Buffer.from(`ffffffffffff${from.replaceAll(":", "")}${tagged}88b5`, "hex");
  return Buffer.concat([head, Buffer.from(text.padEnd(60, "."))]);
}

/** A capture that is read in the background. */
class Capture {
  readonly frames: CapturedFrame[] = [];
  readonly ended: Promise<void>;
  readonly #stop = new AbortController();

  constructor(control: OpenVswitchSwitch, input: { readonly portKey: string; readonly maxFrames: number }) {
    const context = createOperationContext({ signal: this.#stop.signal });
    const captured = control.facets.capture?.capturePort({ switchId, snapLength: 1_500, ...input }, context) ?? [];
    this.ended = (async () => {
      for await (const frame of captured) this.frames.push(frame);
    })();
  }

  stop(): void {
    this.#stop.abort();
  }

  /** Each frame's direction, its text without the padding, and why it was dropped. */
  get told(): readonly string[] {
    return this.frames.map(({ direction, data, dropped }) => {
      const bytes = Buffer.from(data, "base64");
      const at = bytes.readUInt16BE(12) === 0x8100 ? 18 : 14;
      const text = bytes.subarray(at).toString().replace(/\.*$/, "");
      return [direction, `${text}${at === 18 ? "@" : ""}`, ...(dropped === undefined ? [] : [dropped])].join(" ");
    });
  }
}

describe.skipIf(missing.length > 0)("looking into a switch on Open vSwitch", () => {
  let fabric: OpenVswitchFabric;
  let session: SwitchSession;

  beforeAll(async () => {
    fabric = await OpenVswitchFabric.start();
  });
  afterAll(async () => {
    await fabric[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    session = new SwitchSession(fabric);
  });
  afterEach(async () => {
    await session[Symbol.asyncDispose]();
    await fabric.underlay.ofctl("del-flows", "n1");
    await fabric.underlay.ofctl("add-flow", "n1", "priority=0,actions=normal");
  });

  async function underlayDoes(...flows: readonly string[]): Promise<void> {
    for (const flow of flows) await fabric.underlay.ofctl("add-flow", "n1", flow);
    // What was decided before for frames like these is kept a while otherwise.
    await fabric.underlay.control("revalidator/purge");
  }

  async function untilShown(host: string, isShown: boolean): Promise<void> {
    await expect.poll(async () => (await session.flowsOf(host)).includes("CONTROLLER:1504")).toBe(isShown);
  }

  it("captures frames as the VM has them, with why they are dropped", async () => {
    const control = await session.start();
    await control.applySwitch({ spec: specOf(access), generation: 1 }, createOperationContext());
    const one = await session.plug(control, portOf(1, { portGroup: "special" }));
    const two = await session.plug(control, portOf(2, { portGroup: "special", host: "host-2" }));
    const [mac, other] = [portOf(1).mac, portOf(2).mac];
    one.send(frameOf(mac, "before"));
    await two.receive({ matching: (frame) => frame.includes("before") });
    const capture = new Capture(control, { portKey: "p1", maxFrames: 4 });
    await untilShown("host-1", true);
    const said = async (frame: Buffer): Promise<void> => {
      const count = capture.frames.length;
      one.send(frame);
      await expect.poll(() => capture.frames.length).toBe(count + 1);
    };
    await said(frameOf(mac, "passes"));
    await said(frameOf(mac, "has a tag", 20));
    await said(frameOf(other, "is of another"));
    two.send(frameOf(other, "comes"));
    await capture.ended;
    expect(capture.told).toEqual([
      "in passes",
      "in has a tag@ taggedOnAccess",
      "in is of another forgedTransmit",
      "out comes",
    ]);
    const lengths = capture.frames.map(({ originalLength, data }) => [
      originalLength,
      Buffer.from(data, "base64").length,
    ]);
    expect(lengths).toEqual([
      [74, 74],
      [78, 78],
      [74, 74],
      [74, 74],
    ]);
    await untilShown("host-1", false);
    // Counters went on while flows were others.
    await expect
      .poll(async () => (await control.portStatistics({ switchId, portKeys: ["p1"] }))[0])
      .toMatchObject({ framesIn: "4", framesForwarded: "2", dropsIn: { taggedOnAccess: "1", forgedTransmit: "1" } });
  });

  it("ends a capture when the port is disconnected, and when nobody reads it any more", async () => {
    const control = await session.start();
    await control.applySwitch({ spec: specOf(), generation: 1 }, createOperationContext());
    await session.plug(control, portOf(1));
    const first = new Capture(control, { portKey: "p1", maxFrames: 10 });
    const second = new Capture(control, { portKey: "p1", maxFrames: 10 });
    await untilShown("host-1", true);
    first.stop();
    await first.ended;
    await untilShown("host-1", true);
    await control.disconnectPort({ switchId, portKey: "p1", generation: 1 }, createOperationContext());
    await second.ended;
    await untilShown("host-1", false);
    const absent = new Capture(control, { portKey: "p1", maxFrames: 1 });
    await expect(absent.ended).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  it("finds a way that carries nothing in one direction", async () => {
    const control = await session.start(memoryStore(), {}, patient);
    await control.applySwitch({ spec: specOf(access), generation: 1 }, createOperationContext());
    await untilStatus(control, isUp);
    expect(await checked(control, ["path", "mtu", "vlan"])).toEqual([
      "mtu host-1 host-2 ok",
      "mtu host-2 host-1 ok",
      "path host-1 host-2 ok",
      "path host-2 host-1 ok",
      "vlan host-1 host-2 ok",
      "vlan host-1 host-2 ok",
      "vlan host-2 host-1 ok",
      "vlan host-2 host-1 ok",
    ]);
    await underlayDoes("priority=9,in_port=hv1,actions=drop");
    expect(await checked(control, ["path"])).toEqual([
      "path host-1 host-2 none of 8 frames arrived: do the hosts reach each other at their tunnel addresses, and does UDP port 4789 pass?",
      "path host-2 host-1 ok",
    ]);
  });

  it("finds an MTU on the way that is too small", async () => {
    const control = await session.start(memoryStore(), {}, patient);
    await control.applySwitch({ spec: specOf(), generation: 1 }, createOperationContext());
    await untilStatus(control, isUp);
    await underlayDoes(
      "table=1,priority=9,reg0=1,actions=drop",
      "table=1,priority=0,actions=normal",
      "priority=9,in_port=hv2,actions=check_pkt_larger(1000)->NXM_NX_REG0[0],resubmit(,1)",
    );
    expect(await checked(control, ["path", "mtu"])).toEqual([
      "mtu host-1 host-2 ok",
      "mtu host-2 host-1 none of 8 frames of 1414 octets arrived: where small ones do, an MTU on the way is too small",
      "path host-1 host-2 ok",
      "path host-2 host-1 ok",
    ]);
  });

  it("tells a host that is not there, and lets no VM pass itself off as a probe", async () => {
    const control = await session.start();
    await control.applySwitch({ spec: specOf(), generation: 1 }, createOperationContext());
    const one = await session.plug(control, portOf(1));
    const forged = Buffer.from(`0180c200000e${portOf(1).mac.replaceAll(":", "")}88b6`.padEnd(120, "0"), "hex");
    one.send(forged);
    await expect
      .poll(async () => (await control.portStatistics({ switchId, portKeys: ["p1"] }))[0]?.dropsIn)
      .toEqual({ linkLocal: "1" });
    expect(await session.flowsOf("host-2")).toMatch(/n_packets=0,[^\n]*dl_dst=01:80:c2:00:00:0e/);
    const { switchd } = fabric.host("host-2").openVswitch;
    const down = untilStatus(control, (status) => !isUp(status));
    await switchd.kill();
    await down;
    const findings = await checked(control, ["path"]);
    expect(findings.filter((text) => text.endsWith(" ok"))).toEqual([]);
    await switchd.start();
    await untilStatus(control, isUp);
  });

  async function checked(control: OpenVswitchSwitch, checks: readonly HealthFinding["check"][]): Promise<string[]> {
    const context = createOperationContext({ timeoutMs: 120_000 });
    const findings = (await control.facets.healthCheck?.runHealthCheck({ switchId, checks }, context)) ?? [];
    return findings.map(({ check, from, to, ok, detail }) => `${check} ${from} ${to} ${ok ? "ok" : detail}`).sort();
  }
});
