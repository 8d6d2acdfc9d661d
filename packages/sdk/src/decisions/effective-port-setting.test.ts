import { describe, expect, it } from "vitest";
import { defaultPortSetting, effectivePortSetting } from "./effective-port-setting.ts";

const group = { name: "web", policy: { vlan: { kind: "access", id: 10 } }, overrides: ["blocked"] } as const;

describe("effectivePortSetting", () => {
  it("takes each setting from the innermost place that has it", () => {
    expect(effectivePortSetting({ vlan: { kind: "access", id: 1 } }, group, { blocked: true })).toEqual({
      ...defaultPortSetting,
      vlan: { kind: "access", id: 10 },
      blocked: true,
    });
  });

  it("refuses what the port group does not let a port set, and names it", () => {
    expect(() => effectivePortSetting({}, group, { vlan: { kind: "none" } })).toThrowError(
      /'web' does not let a port set 'vlan'/,
    );
  });
});
