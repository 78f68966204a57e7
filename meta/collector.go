package meta

import (
	"encoding/json"
	"time"
)

// Collector is a configuration of Telegraf that is kept for those who fetch
// it. Metadata is JSON as clients give it.
type Collector struct {
	ID          ID              `json:"id"`
	OrgID       ID              `json:"org"`
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Config      string          `json:"config,omitempty"` // TOML
	Metadata    json.RawMessage `json:"metadata,omitempty"`
	Created     time.Time       `json:"created"`
	Updated     time.Time       `json:"updated,omitzero"`
}

func (c *Collector) head() head    { return head{&c.ID, &c.OrgID, &c.Created, &c.Updated} }
func (c *Collector) key() name     { return name{} }
func (c *Collector) title() string { return c.Name }
func (c *Collector) refs() []ID    { return []ID{c.OrgID} }

func (c *Collector) validate() error {
	if c.Name != "" {
		if err := checkName("telegraf configuration", c.Name); err != nil {
			return err
		}
	}
	return checkDescription("telegraf configuration", c.Name, c.Description)
}
