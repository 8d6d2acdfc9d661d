import type { InterfaceLinks } from "../../dataplane/frame-link.ts";
import { systemClock } from "../wire-clock.ts";
import { DevicePort } from "./device-port.ts";
import { HostInterface } from "./host-interface.ts";

/** Links to interfaces of this host, for a data plane that has the rights: see `HostInterface`. Without them a link is down and says why. */
export const hostInterfaceLinks: InterfaceLinks = (interfaceName, handlers) =>
  new DevicePort({
    ...handlers,
    clock: systemClock,
    open: (device) => HostInterface.open({ interfaceName, ...device }),
  });
