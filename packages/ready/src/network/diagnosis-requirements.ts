import type { CapturedFrame, HealthCheckKind } from "@vdc-os/core/network/v1";
import { must, mustEqual } from "../suite/must.ts";
import { hostOf, type NetworkRequirement, specOf } from "./network-instance.ts";
import { unchangedBy, untilStatistics } from "./statistics.ts";
import { applied, Stations } from "./stations.ts";
import { decodeTestFrame, encodeTestFrame } from "./test-frame.ts";

/** What looking into a switch must tell. */
export const diagnosisRequirements: readonly NetworkRequirement[] = [
  {
    id: "network.health.pairs",
    title: "each pair of members is told for each check, both ways",
    clause: 'HealthCheckFacet.runHealthCheck: "Every pair of members is told for each check"',
    level: "extended",
    facet: "healthCheck",
    async run(test) {
      hostOf(test, 1);
      const spec = specOf(test);
      await applied(test, spec, 1);
      const checks: readonly HealthCheckKind[] = ["path", "mtu"];
      const { switchId } = spec;
      const findings = await test.facet("healthCheck").runHealthCheck({ switchId, checks }, test.operation());
      for (const check of checks) {
        const told = findings.filter((finding) => finding.check === check);
        const pairs = test.instance.hosts.flatMap((from) =>
          test.instance.hosts.flatMap((to) => (from === to ? [] : [`${from} to ${to}`])),
        );
        mustEqual(told.map(({ from, to }) => `${from} to ${to}`).sort(), pairs.sort(), `the pairs of check '${check}'`);
        const bad = told.filter(({ ok }) => !ok);
        mustEqual(bad, [], `what check '${check}' finds wrong in a sound network`);
      }
      must(
        findings.every(({ detail }) => detail !== ""),
        "each finding must say in words what was seen",
      );
    },
  },
  {
    id: "network.capture.frames",
    title: "a capture shows what a port sends and gets, cut to its snap length, and ends after its frames",
    clause: 'CaptureFacet.capturePort: "Ends after `maxFrames`"',
    level: "extended",
    facet: "capture",
    async run(test) {
      const spec = specOf(test);
      const { switchId } = spec;
      await applied(test, spec, 1);
      await using stations = new Stations(test);
      const nic = await stations.connect(spec, { portKey: "nic" });
      const peer = await stations.connect(spec, { portKey: "peer" });
      await stations.mustReach([nic, peer], () => true, "beside a capture");
      const captured: CapturedFrame[] = [];
      const reading = (async () => {
        const frames = test
          .facet("capture")
          .capturePort({ switchId, portKey: "nic", snapLength: 40, maxFrames: 6 }, test.operation());
        for await (const frame of frames) captured.push(frame);
      })();
      // There is no event for a capture that has begun: both speak until it has seen enough.
      const speaking = setInterval(() => {
        nic.say("from the nic");
        peer.say("to the nic", { to: nic.mac });
      }, 5);
      try {
        await reading;
      } finally {
        clearInterval(speaking);
      }
      mustEqual(captured.length, 6, "the captured frames");
      for (const { data, direction, originalLength } of captured) {
        const bytes = Buffer.from(data, "base64");
        mustEqual(bytes.length, 40, "the length of a frame that is cut");
        must(originalLength >= 60, `the frame had at least 60 octets, and 'originalLength' is ${originalLength}`);
        const text = decodeTestFrame(bytes)?.text;
        mustEqual(text, direction === "in" ? "from the nic" : "to the nic", `a frame of direction '${direction}'`);
      }
      const directions = new Set(captured.map(({ direction }) => direction));
      mustEqual([...directions].sort(), ["in", "out"], "the directions");
      const times = captured.map(({ atMicroseconds }) => atMicroseconds);
      must(
        times.every((time, at) => time >= (times[at - 1] ?? 0)),
        "the times of captured frames must not go back",
      );
    },
  },
  {
    id: "network.explain.agrees",
    title: "what is explained is what is done, and explaining counts nowhere",
    clause: 'ExplainFacet: "changes nothing, and is counted nowhere"',
    level: "extended",
    facet: "explain",
    async run(test) {
      const spec = specOf(test);
      const { switchId } = spec;
      await applied(test, spec, 1);
      await using stations = new Stations(test);
      const [one, two, blue] = [
        await stations.connect(spec, { portKey: "one", portGroup: "red" }),
        await stations.connect(spec, { portKey: "two", portGroup: "red" }),
        await stations.connect(spec, { portKey: "blue", portGroup: "blue" }),
      ];
      await stations.mustReach([one, two, blue], (from, to) => from < 2 && to < 2, "at first");
      const explain = (to: string, tag?: number) => {
        const frame = encodeTestFrame({ to, from: one.mac, text: "why", tag }).toString("base64");
        return test.facet("explain").explainFrame({ switchId, portKey: "one", frame }, test.operation());
      };
      const straight = await explain(two.mac);
      mustEqual([straight.verdict, straight.ports], ["forward", ["two"]], "the way of a frame to a VM in its VLAN");
      must(straight.steps.length > 0, "an explanation must have steps");
      const across = await explain(blue.mac);
      mustEqual(across.ports.includes("blue"), false, "whether a frame reaches another VLAN");
      const tagged = await explain(two.mac, 20);
      mustEqual([tagged.verdict, tagged.ports], ["drop", []], "the way of a tagged frame from an access port");
      const before = await unchangedBy(test, "one", async () => {
        for (const each of [two, blue]) await explain(each.mac);
        await explain(two.mac, 20);
      });
      one.say("tagged", { tag: 20 });
      const counted = await untilStatistics(test, "one", ({ framesIn }) => BigInt(framesIn) > BigInt(before.framesIn));
      must(
        BigInt(counted.dropsIn[tagged.reason] ?? "0") > BigInt(before.dropsIn[tagged.reason] ?? "0"),
        `the frame is dropped for '${tagged.reason}', it was said, and that is not what was counted`,
      );
    },
  },
];
