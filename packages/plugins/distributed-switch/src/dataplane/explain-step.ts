/** The stage of the switch that a step of an explanation is about. */
export type ExplainStage = "admission" | "policy" | "learning" | "gate" | "forwarding" | "egress";

/** One step of a frame's way. */
export interface ExplainStep {
  readonly stage: ExplainStage;
  /** What was seen or decided, in words. */
  readonly text: string;
  /** The port that the step is about, where it isn't the one that the frame came in by. */
  readonly port?: string | undefined;
  /** The reason under which the frame is dropped here, as in the counters. */
  readonly drop?: string | undefined;
}
