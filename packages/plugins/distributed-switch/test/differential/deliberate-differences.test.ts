import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DELIBERATE_DIFFERENCES } from "./deliberate-differences.ts";
import { EngineContestant } from "./engine-contestant.ts";
import { isOpenVswitchMissing, OpenVswitchContestant } from "./open-vswitch-contestant.ts";

/** What left every port, in words that a failure can be read in. */
function text(frames: readonly (readonly Buffer[])[]): string[] {
  return frames.flatMap((left, port) => left.map((bytes) => `p${port} ${bytes.toString("hex")}`));
}

describe.skipIf(isOpenVswitchMissing("where our switch differs from Open vSwitch on purpose"))("on purpose", () => {
  let openVswitch: OpenVswitchContestant;
  beforeAll(async () => {
    openVswitch = await OpenVswitchContestant.start(6);
  });
  afterAll(async () => {
    await openVswitch[Symbol.asyncDispose]();
  });

  it.each(DELIBERATE_DIFFERENCES)("differs $what", async (each) => {
    const ours = new EngineContestant(each.settings === undefined ? {} : { settings: each.settings });
    await ours.configure(each.config);
    await openVswitch.configure(each.config);
    if (each.vsctl !== undefined) await openVswitch.vsctl(...each.vsctl);
    const actual = {
      ours: text(await ours.exchange(each.frames)),
      openVswitch: text(await openVswitch.exchange(each.frames)),
    };
    expect(actual).toEqual({ ours: each.ours, openVswitch: each.openVswitch });
    expect(actual.ours).not.toEqual(actual.openVswitch);
  });
});
