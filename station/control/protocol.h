/*
 * What the daemon and its clients say to each other on the Unix socket: one
 * JSON object a line, UTF-8, at most CONTROL_LINE_MAX bytes with its LF.
 *
 * A client sends requests and gets exactly one reply each, by id:
 *
 *	{"v":1,"id":7,"command":"lot-open","lot":"demo","operator":"ann"}
 *	{"v":1,"id":7,"ok":true,...}
 *	{"v":1,"id":7,"ok":false,"error":{"cause":"bad-lot","text":"...",
 *	  "action":"...","exit":78}}
 *
 * "exit" is the sysexits status that a command ends with. A request with
 * another "v", or a malformed one, gets the error cause "bad-request" (under
 * its id, or 0 when that cannot be read) and the connection ends. A user who
 * may only look gets the cause "not-permitted" for what changes anything.
 *
 * Commands (arguments; reply members):
 *
 *	status     ; "snapshot": the object below
 *	subscribe  "snapshots":bool, "verdicts":bool, "lot":text or absent;
 *	           then events follow until the client closes
 *	lot-open   "lot", "operator"; "lot": a lot object. The folder of that
 *	           name below lots/; opening an open lot is not an error.
 *	           Bad lot: error text is the list of problems, one a line
 *	lot-close  "lot"; "lot": a lot object
 *	lot-list   ; "lots": [lot object...]
 *	lot-show   "lot"; "lot": a lot object
 *	make       "lot", "slot", "serial" or absent, "operator": works the
 *	           unit that is in the slot now; "attempt": number
 *	abort      "slot": ends the attempt there
 *	acknowledge "slot": the operator has seen the failure
 *	release    : ends the hold of the line by the alarm
 *	hold       "reason": holds the line
 *	dispose    "lot", "serial", "kind":"scrap"|"quarantine"|"rework",
 *	           "operator", "reason"
 *	bulk       "lot", "operator": registers the lot's staged units;
 *	           "key","task","units":n,"resumed":bool when its task has
 *	           started; "bulk" events follow
 *	report     "lot", "format":"csv", with the descriptor to write to as
 *	           SCM_RIGHTS on the request's first byte, sent when no other
 *	           request is under way; "rows":n,
 *	           "lot": a lot object
 *
 * Events:
 *
 *	{"v":1,"event":"verdict","lot","slot","attempt":n,"serial","mac",
 *	 "thing","certificate_id","cloud_state","pattern",
 *	 "firmware_version","step","verdict":"PASS|FAIL|ERROR|ABORTED|REFUSED|STAGED",
 *	 "class":"DEVICE|FIXTURE|STATION|MANIFEST|CLOUD|CLOUD-POLICY|OPERATOR",
 *	 "cause","text","action","start","end","seconds":s.mmm,
 *	 "unverified":bool}
 *	   texts are empty where they do not apply; sent after the ledger's
 *	   commit, in commit order
 *	{"v":1,"event":"snapshot","snapshot":{...}} at most five a second,
 *	   and at once after a verdict
 *	{"v":1,"event":"lot","lot":lot object,"what":"opened|closed|complete|
 *	 stopped","text"}
 *	{"v":1,"event":"bulk","lot","key","task","status","units":n,
 *	 "percent":n,"succeeded":n,"failed":n,"issued":n,"refused":n,
 *	 "ended":bool,"cause","text","action"} how a bulk registration goes on;
 *	   issued and refused are there when it has ended without a cause
 *	{"v":1,"event":"log","at","level":"error|warning|notice","text"}
 *	{"v":1,"event":"error","text"} the last line before the daemon
 *	   disconnects a client, such as one that reads too slowly
 *
 * A snapshot that has not been sent yet is replaced by a newer one; the other
 * events never drop while a client is connected. Those of a lot go to who
 * asked for "verdicts" of all lots or of that one, "log" to who asked for
 * all. A snapshot that counts a verdict comes after that verdict's event.
 *
 * Snapshot:
 *
 *	{"station","site","version","at":time,"uptime_s",
 *	 "ledger":"up|down", "cloud":"up|slow|down", "cloud_text",
 *	 "held":bool,"hold_passes":bool,"hold_reason",
 *	 "alarm":{"ringing":bool,"failures":n,"successes":n,"ratio":0.034,
 *	   "limit":0.05,"window":n,"minimum":n},
 *	 "units_per_hour":n, "takt_target_ms":n, "takt_ms":n,
 *	 "lots":[lot object...],
 *	 "slots":[{"name","position","state":"empty|waiting|busy|done|held",
 *	   "lot","serial","mac","attempt":n,"step","permille":n,"note",
 *	   "verdict":"" or as above,"class","cause","text","action",
 *	   "acknowledged":bool,"seconds":n}...],
 *	 "log":[{"at","level","text"}...] newest last, at most 50}
 *
 * Lot object:
 *
 *	{"lot","state":"open|closed","pattern","product","part_number",
 *	 "firmware_version","quantity":n,"rows":n,"passed":n,"failed":n,
 *	 "staged":n,"quarantined":n,"scrapped":n,"in_progress":n,
 *	 "missing":n,"attempts":n,"refused":n,"first_passed":n,
 *	 "first_total":n,"first_pass_yield":0.958 or null,
 *	 "obligations":n,"pareto":[{"cause","count":n,"class"}...],
 *	 "ending","first_article":n,"first_article_connected":n} (the last two
 *	 for a lot with first articles)
 *	(pattern, product, part_number, firmware_version are empty for a lot
 *	 that is not open)
 */
#ifndef CONTROL_PROTOCOL_H
#define CONTROL_PROTOCOL_H

enum {
	CONTROL_VERSION = 1,
	CONTROL_LINE_MAX = 256 * 1024, /* a snapshot of 64 slots fits */
	CONTROL_REQUEST_MAX = 8 * 1024,
	CONTROL_CLIENTS_MAX = 32,
};

#endif
