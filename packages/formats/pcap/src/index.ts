// What a capture file holds
export type { AnnotatedPacket, CapturedPacket, TimeResolution } from "./captured-packet.ts";
export { LINK_TYPE_ETHERNET, MAX_SNAP_LENGTH } from "./captured-packet.ts";
export { type PortCaptureFrame, portPacket } from "./port-packet.ts";

// Writing
export { pcapFile, type PcapOptions, PcapWriter } from "./pcap-writer.ts";
export { pcapngFile, type PcapngInterface, type PcapngOptions, PcapngWriter } from "./pcapng-writer.ts";

// Reading
export { type Capture, readCapture } from "./capture-reader.ts";
export { PcapError, type PcapErrorCode } from "./pcap-error.ts";
