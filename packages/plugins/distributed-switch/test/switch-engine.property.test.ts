import fc from "fast-check";
import { expect, it } from "vitest";
import { LENGTH_PREFIX_BYTES, recordOf } from "../src/dataplane/ethernet-frame.ts";
import type { Explanation } from "../src/dataplane/explanation.ts";
import { FlowTable } from "../src/dataplane/flow-table.ts";
import { SwitchEngine } from "../src/dataplane/switch-engine.ts";
import type { PortSettings, SwitchPort, SwitchPortStatistics } from "../src/dataplane/switch-port.ts";
import { expectBalance, nicText } from "./engine-bench.ts";
import { type Act, act, PEERS, PORTS, settings, UPLINKS } from "./random-switch.ts";

/** A switch with everything on, whose sinks count. */
class Subject {
  now = 0;
  full = false;
  toPeers: string[] = [];
  tunnelled = 0;
  accounted = 0;
  readonly engine: SwitchEngine;
  readonly ports: SwitchPort[];
  readonly uplinks: SwitchPort[];
  readonly usesUplinks: boolean;
  readonly delivered: number[] = [];

  constructor(initial: readonly Omit<PortSettings, "macAddress">[], usesUplinks: boolean) {
    this.engine = new SwitchEngine({
      now: () => this.now,
      hold: { limitFrames: 3 },
      tunnel: {
        send: (peer) => {
          this.toPeers.push(peer);
          return 1;
        },
        flood: () => {
          this.toPeers.push(...PEERS);
          return PEERS.length;
        },
        peers: () => PEERS,
      },
      mirrorSink: { mirror: ({ start, end, originalLength }) => end - start <= originalLength && !this.full },
    });
    this.engine.snooping.enabled = true;
    this.engine.directory.setFlows(
      new FlowTable({
        idleTimeoutMs: 500,
        activeTimeoutMs: 1000,
        samplingRate: 1,
        limit: 5,
        onRecords: (records) => {
          for (const { packets } of records) this.accounted += packets;
        },
      }),
    );
    this.usesUplinks = usesUplinks;
    this.engine.usesUplinks = usesUplinks;
    this.uplinks = UPLINKS.map((name) => {
      const uplink = this.engine.addUplink(name, name, {
        deliver: () => (this.full ? "queueFull" : undefined),
        flush: () => undefined,
      });
      uplink.linkUp = true;
      return uplink;
    });
    this.engine.uplinksChanged();
    this.ports = initial.map((each, index) => {
      this.delivered.push(0);
      const port = this.engine.addPort(
        `p${index}`,
        { ...each, macAddress: nicText(index) },
        {
          deliver: (buffer, start, end) => {
            expect(buffer.readUInt32BE(start - LENGTH_PREFIX_BYTES)).toBe(end - start);
            if (this.full) return "queueFull";
            this.delivered[index] = (this.delivered[index] ?? 0) + 1;
            return undefined;
          },
          flush: () => undefined,
        },
      );
      port.linkUp = true;
      return port;
    });
  }

  statistics(): SwitchPortStatistics[] {
    return this.ports.map((port) => port.statistics());
  }

  everything(): unknown {
    const { engine } = this;
    return [
      this.statistics(),
      // Buckets are filled up when they are looked at, which is no effect.
      this.ports.map((port) => {
        const { effectiveMac, learned, groups, mirrorSampling } = engine.exportPort(port);
        return [effectiveMac, learned, groups, mirrorSampling];
      }),
      [...engine.directory.mirrorPoints()].map((point) => point.statistics()),
      engine.log.read(),
      engine.directory.flows?.statistics(),
      this.uplinks.map((uplink) => uplink.statistics()),
      engine.copies,
      this.delivered,
    ];
  }

  /** Why the frame of the last step that came from another host was dropped. */
  refusedPeer: string | undefined;

  run(step: Act): void {
    const { engine } = this;
    switch (step.kind) {
      case "frame": {
        const record = recordOf(step.bytes);
        const port = this.ports[step.port] as SwitchPort;
        engine.receiveFromPort(port, record, LENGTH_PREFIX_BYTES, record.length);
        break;
      }
      case "peer": {
        // A switch goes one way or the other: without a tunnel there are no peers.
        if (this.usesUplinks) break;
        const record = recordOf(step.bytes);
        this.refusedPeer = engine.receiveFromPeer(step.peer, step.vlan, record, LENGTH_PREFIX_BYTES, record.length);
        break;
      }
      case "uplink": {
        if (!this.usesUplinks) break;
        const record = recordOf(step.bytes);
        const uplink = this.uplinks[step.uplink] as SwitchPort;
        engine.receiveFromUplink(uplink, record, LENGTH_PREFIX_BYTES, record.length);
        break;
      }
      case "uplinkLink":
        (this.uplinks[step.uplink] as SwitchPort).linkUp = step.up;
        engine.uplinksChanged();
        break;
      case "settings": {
        const macAddress = nicText(step.port);
        engine.configurePort(this.ports[step.port] as SwitchPort, { ...step.settings, macAddress });
        break;
      }
      case "gate":
        engine.setGate(this.ports[step.port] as SwitchPort, step.gate);
        break;
      case "link":
        (this.ports[step.port] as SwitchPort).linkUp = step.up;
        break;
      case "full":
        this.full = step.full;
        break;
      case "mirrors":
        engine.directory.setMirrors(step.sessions);
        break;
      case "later":
        this.now += step.ms;
        engine.flush();
        engine.tick();
    }
  }
}

/** That what was done is what the explanation said. Mirrored copies may come on top at the port that takes them. */
function expectExplained(
  { verdict, reason, ports, peers, uplink }: Explanation,
  subject: Subject,
  step: Act & { readonly kind: "frame" },
  before: readonly SwitchPortStatistics[],
  uplinksBefore: readonly SwitchPortStatistics[],
): void {
  const after = subject.statistics();
  const own = [before[step.port], after[step.port]] as [SwitchPortStatistics, SwitchPortStatistics];
  const was = verdict === "hold" && own[1].held === own[0].held ? "drop" : verdict;
  const grown = (name: "forwarded" | "held"): number => own[1][name] - own[0][name];
  expect(own[1].in.dropped - own[0].in.dropped).toBe(was === "drop" ? 1 : 0);
  expect(grown("held")).toBe(was === "hold" ? 1 : 0);
  expect(grown("forwarded")).toBe(was === "forward" || was === "flood" ? 1 : 0);
  if (reason !== undefined && reason !== "unknownPeer")
    expect((own[1].in.drops[reason] ?? 0) - (own[0].in.drops[reason] ?? 0)).toBe(1);
  expect(subject.toPeers.toSorted()).toEqual([...peers].sort());
  for (const [index, { key, out }] of subject.uplinks.entries()) {
    const past = uplinksBefore[index]?.out;
    expect(out.frames + out.dropped - (past?.frames ?? 0) - (past?.dropped ?? 0)).toBe(key === uplink ? 1 : 0);
  }
  expectDelivered(ports, subject, before);
}

/** That the ports have got what was said. */
function expectDelivered(ports: Explanation["ports"], subject: Subject, before: readonly SwitchPortStatistics[]): void {
  const after = subject.statistics();
  for (const [index, port] of subject.ports.entries()) {
    if (port.mirrorTarget) continue;
    const told = ports.find((each) => each.port === port.key);
    const [past, present] = [before[index]?.out, after[index]?.out];
    if (past === undefined || present === undefined) continue;
    const drop = told?.drop ?? (subject.full ? "queueFull" : undefined);
    expect(present.frames - past.frames, port.key).toBe(told !== undefined && drop === undefined ? 1 : 0);
    expect(present.dropped - past.dropped, port.key).toBe(told !== undefined && drop !== undefined ? 1 : 0);
    if (told !== undefined && drop !== undefined) {
      expect((present.drops[drop] ?? 0) - (past.drops[drop] ?? 0), port.key).toBe(1);
    }
  }
}

it("loses sight of no frame with every feature on, whatever comes, and explains what it then does", () => {
  const initial = fc.array(settings, { minLength: PORTS, maxLength: PORTS });
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(
      initial,
      fc.array(act, { minLength: 10, maxLength: 80, size: "max" }),
      fc.boolean(),
      (each, steps, up) => {
        const subject = new Subject(each, up);
        for (const step of steps) {
          let explanation: Explanation | undefined;
          if (step.kind === "peer" && !up) {
            const untouched = subject.everything();
            explanation = subject.engine.explainer.fromPeer(step.peer, step.vlan, step.bytes);
            expect(subject.everything()).toEqual(untouched);
          }
          if (step.kind === "frame") {
            const untouched = subject.everything();
            explanation = subject.engine.explainer.fromPort(subject.ports[step.port] as SwitchPort, step.bytes);
            expect(subject.everything()).toEqual(untouched);
            seen.set(
              explanation.reason ?? explanation.verdict,
              (seen.get(explanation.reason ?? explanation.verdict) ?? 0) + 1,
            );
          }
          const before = subject.statistics();
          const uplinksBefore = subject.uplinks.map((uplink) => uplink.statistics());
          subject.toPeers = [];
          subject.run(step);
          if (step.kind === "frame" && explanation !== undefined) {
            expectExplained(explanation, subject, step, before, uplinksBefore);
          }
          if (step.kind === "peer" && explanation !== undefined) {
            expect(subject.refusedPeer).toBe(explanation.reason);
            expectDelivered(explanation.ports, subject, before);
            const way = `peer ${explanation.reason ?? explanation.verdict}`;
            seen.set(way, (seen.get(way) ?? 0) + 1);
          }
          let sent = 0;
          for (const uplink of subject.uplinks) {
            expectBalance(uplink);
            const { in: inward, out } = uplink.statistics();
            sent += out.frames + out.dropped;
            for (const way of Object.keys(inward.drops)) seen.set(way, (seen.get(way) ?? 0) + 1);
          }
          for (const [index, port] of subject.ports.entries()) {
            expectBalance(port);
            const { out } = port.statistics();
            expect(out.frames).toBe(subject.delivered[index]);
            sent += out.frames + out.dropped;
          }
          expect(sent).toBe(subject.engine.copies);
          for (const point of subject.engine.directory.mirrorPoints()) {
            const { frames, copied, sampledOut, dropped } = point.statistics();
            expect(copied + sampledOut + dropped).toBe(frames);
          }
        }
        const { flows } = subject.engine.directory;
        flows?.drain();
        expect(subject.accounted).toBe(flows?.statistics().observed);
      },
    ),
    { seed: 29, numRuns: process.env.VDC_DEEP ? 3000 : 100 },
  );
  // The run is worth something only if it came by most of the ways there are.
  for (const way of [
    "forward",
    "flood",
    "hold",
    "blocked",
    "filtered",
    "rateLimited",
    "shaped",
    "privateVlan",
    "learningLimit",
    "mirrorDestination",
    "forgedTransmit",
    "tooLong",
    "runt",
    "noUplink",
    "looped",
    "reverseFilter",
    "arpSpoof",
    "peer forward",
    "peer flood",
    "peer noDestination",
    "peer splitHorizon",
  ]) {
    expect(seen.get(way) ?? 0, way).toBeGreaterThan(0);
  }
});
