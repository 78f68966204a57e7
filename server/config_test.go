package server

import (
	"strings"
	"testing"
	"time"
)

func TestConfigValidate(t *testing.T) {
	d := Default()
	if err := d.Validate(); err != nil {
		t.Errorf("default: %v", err)
	}
	for want, change := range map[string]func(*Config){
		"no data folder":        func(c *Config) { c.DataDir = "" },
		"http address":          func(c *Config) { c.HTTPAddr = "8086" },
		"service address":       func(c *Config) { c.ServiceAddr = "" },
		"need names":            func(c *Config) { c.InitOrg = "" },
		"retention":             func(c *Config) { c.InitRetention = -time.Hour },
		"memory limit is 1 MiB": func(c *Config) { c.Memory = 1 << 20 },
		"number of shards":      func(c *Config) { c.Shards = 0 },
		"largest body":          func(c *Config) { c.MaxBody = 0 },
		"may be ahead":          func(c *Config) { c.MaxFuture = -1 },
		"limit of columns":      func(c *Config) { c.MaxColumns = 0 },
		"stop timeout":          func(c *Config) { c.StopTimeout = -1 },
		"want token or none":    func(c *Config) { c.ServiceAuth = "maybe" },
		"must be on loopback":   func(c *Config) { c.ServiceAuth, c.ServiceAddr = "none", "0.0.0.0:8000" },
		"log level":             func(c *Config) { c.LogLevel = "info+2" },
		"log format":            func(c *Config) { c.LogFormat = "xml" },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for _, addr := range []string{"127.0.0.1:1", "[::1]:1", "localhost:1"} {
		c := Default()
		c.ServiceAuth, c.ServiceAddr = "none", addr
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
}
