import { type Clock, VdcError } from "@vdc-os/core";
import type { CapturedFrame, CaptureFacet, ExplainFacet, HealthCheckFacet } from "@vdc-os/core/network/v1";
import type { SwitchFabric } from "./switch-fabric.ts";
import type { PortTap, SwitchPort } from "./switch-port.ts";

type FindPort = (switchId: string, portKey: string) => { readonly fabric: SwitchFabric; readonly port: SwitchPort };

/** How many captured frames wait for their reader. */
const maxCaptured = 1024;

/** Streams the frames of a port. */
export function captureFacet(find: FindPort, clock: Clock): CaptureFacet {
  return {
    async *capturePort({ switchId, portKey, snapLength, maxFrames }, { signal }) {
      const { port } = connected(find(switchId, portKey), portKey);
      const frames: CapturedFrame[] = [];
      let missed = 0;
      let ended = false;
      let wake = (): void => undefined;
      const stop = (): void => {
        ended = true;
        wake();
      };
      const tap: PortTap = {
        end: stop,
        frame(direction, frame, dropped) {
          if (frames.length >= maxCaptured) {
            missed += 1;
            return;
          }
          frames.push({
            ...{ atMicroseconds: Math.round(clock.now() * 1_000), direction, originalLength: frame.length, missed },
            data: Buffer.from(frame.subarray(0, snapLength)).toString("base64"),
            ...(dropped === undefined ? {} : { dropped }),
          });
          missed = 0;
          wake();
        },
      };
      port.taps.add(tap);
      signal.addEventListener("abort", stop);
      try {
        for (let count = 0; count < maxFrames && !signal.aborted; ) {
          const frame = frames.shift();
          if (frame !== undefined) {
            count += 1;
            yield frame;
            continue;
          }
          if (ended) return;
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      } finally {
        port.taps.delete(tap);
        signal.removeEventListener("abort", stop);
      }
    },
  };
}

/** Tells what would become of a frame, by the code that would pass it on. */
export function explainFacet(find: FindPort): ExplainFacet {
  return {
    async explainFrame({ switchId, portKey, frame }) {
      const { fabric, port } = connected(find(switchId, portKey), portKey);
      const decision = fabric.decide(port, Buffer.from(frame, "base64"));
      if (decision.drop !== undefined) return dropped(decision.drop, []);
      const { header, segment, known, receivers } = decision;
      const admitted = { stage: "ingress", detail: `comes in from ${header.source} in VLAN ${segment.vlan}` };
      const ports = receivers.map((receiver) => receiver.port);
      if (ports.length === 0) return dropped("noDestination", [admitted]);
      const hosts = [...new Set(ports.map(({ request }) => request.host))].filter((host) => host !== port.request.host);
      return {
        verdict: known ? "forward" : "flood",
        reason: known ? "knownAddress" : "everybody",
        ports: ports.map((each) => each.portKey),
        hosts,
        steps: [
          admitted,
          { stage: "lookup", detail: `${header.destination} is ${known ? "known" : "for whoever takes it"}` },
          ...ports.map((each) => ({ stage: "egress", detail: `leaves by port '${each.portKey}'` })),
        ],
      };
    },
  };
}

function dropped(
  reason: string,
  steps: readonly { readonly stage: string; readonly detail: string }[],
): Awaited<ReturnType<ExplainFacet["explainFrame"]>> {
  const last = { stage: steps.length === 0 ? "ingress" : "egress", detail: `dropped: ${reason}` };
  return { verdict: "drop", reason, ports: [], hosts: [], steps: [...steps, last] };
}

/** Finds out which hosts were made to fail: nothing else is between simulated hosts. */
export function healthCheckFacet(
  fabric: (switchId: string) => SwitchFabric,
  isHostUp: (host: string) => boolean,
): HealthCheckFacet {
  return {
    async runHealthCheck({ switchId, checks }) {
      const hosts = fabric(switchId).spec.members.map(({ host }) => host);
      return checks.flatMap((check) =>
        hosts.flatMap((from) =>
          hosts
            .filter((to) => to !== from)
            .map((to) => {
              const failed = [from, to].filter((host) => !isHostUp(host));
              const ok = failed.length === 0;
              const detail = ok
                ? `simulated: frames from '${from}' reach '${to}'`
                : `simulated: ${failed.map((host) => `'${host}'`).join(" and ")} was made to fail: restore it`;
              return { check, from, to, ok, detail };
            }),
        ),
      );
    },
  };
}

function connected<T extends { readonly port: SwitchPort }>(found: T, portKey: string): T {
  if (found.port.binding !== undefined) return found;
  throw new VdcError("NOT_FOUND", `port '${portKey}' is not connected`);
}
