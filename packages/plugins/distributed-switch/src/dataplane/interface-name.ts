/** The longest name of an interface, in octets (IFNAMSIZ of the Linux kernel, less the terminator). */
export const MAX_INTERFACE_NAME = 15;

/** Whether an interface can have this name (dev_valid_name of the Linux kernel). */
export function isInterfaceName(name: string): boolean {
  return /^[^\s/:]+$/.test(name) && Buffer.byteLength(name) <= MAX_INTERFACE_NAME && name !== "." && name !== "..";
}
