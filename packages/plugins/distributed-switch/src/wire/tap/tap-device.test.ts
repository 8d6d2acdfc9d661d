import { describe, expect, it } from "vitest";
import { TapDevice } from "./tap-device.ts";

describe("TapDevice", () => {
  const nothing = { onFrame: () => undefined, onBatchEnd: () => undefined };

  it("refuses what can't be an interface's name", () => {
    for (const name of ["", "a b", "a/b", "..", "longer-than-fifteen"]) {
      expect(() => TapDevice.open({ name, ...nothing })).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    }
  });

  it("says in words why there is none", () => {
    // The loopback interface is no tap; where the library, the device or the right are missing, that comes first.
    expect(() => TapDevice.open({ name: "lo", ...nothing })).toThrow(
      expect.objectContaining({ code: "UNAVAILABLE", message: expect.stringContaining("cannot open the tap 'lo'") }),
    );
  });
});
