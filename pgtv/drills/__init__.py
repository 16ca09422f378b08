"""The failure modes as drills: each provoked for real on a throwaway server, seen, cured and verified."""
