package universe

import (
	"github.com/varvedb/varve/lang/flux/aggregate"
	"github.com/varvedb/varve/lang/flux/flow"
	"github.com/varvedb/varve/lang/flux/lib"
	"github.com/varvedb/varve/lang/flux/value"
)

// selectors adds what keeps some rows of a table for their values.
func selectors(p *lib.Package) {
	by := func(name string, op func(aggregate.By) flow.Op) {
		p.Func(name, "<-tables: stream, ?column: string", func(c *value.Call) (value.Value, error) {
			return flow.New(c, op(aggregate.By{Column: c.Str("column", "_value")}), flow.Input(c, "tables")), nil
		})
	}
	by("first", func(b aggregate.By) flow.Op { return &aggregate.First{By: b} })
	by("last", func(b aggregate.By) flow.Op { return &aggregate.Last{By: b} })
	by("min", func(b aggregate.By) flow.Op { return &aggregate.Min{By: b} })
	by("max", func(b aggregate.By) flow.Op { return &aggregate.Max{By: b} })
	by("unique", func(b aggregate.By) flow.Op { return &aggregate.Unique{By: b} })
	by("distinct", func(b aggregate.By) flow.Op { return &aggregate.Distinct{By: b} })
	p.Func("sample", "<-tables: stream, n: int, ?pos: int, ?column: string", func(c *value.Call) (value.Value, error) {
		op := &aggregate.Sample{By: aggregate.By{Column: c.Str("column", "_value")}, N: c.Int("n", 0), Pos: c.Int("pos", -1)}
		return checked(c, op, op.Check())
	})
	ends := func(name string, desc bool) {
		p.Func(name, "<-tables: stream, n: int, ?columns: [string]", func(c *value.Call) (value.Value, error) {
			return sortLimit(c, p, c.Arg("tables"), c.Strings("columns", "_value"), desc)
		})
	}
	ends("top", true)
	ends("bottom", false)
	ranked(p)
}

// sortLimit keeps the first n rows (the argument n) by some columns.
func sortLimit(c *value.Call, p *lib.Package, tables value.Value, columns []string, desc bool) (value.Value, error) {
	sorted, err := prelude(c, p, "sort", map[string]value.Value{
		"tables": tables, "columns": texts(columns), "desc": value.OfBool(desc),
	})
	if err != nil {
		return sorted, err
	}
	return prelude(c, p, "limit", map[string]value.Value{"tables": sorted, "n": c.Arg("n")})
}

// texts returns strings as an array.
func texts(list []string) value.Value {
	all := make([]value.Value, len(list))
	for i, s := range list {
		all[i] = value.OfString(s)
	}
	return value.OfArray(all)
}

// ranked adds what reduces groups to a row each and keeps those of some of them:
// highestMax and its kin.
func ranked(p *lib.Package) {
	rank := func(name, reducer string, desc bool) {
		p.Func(name, "<-tables: stream, n: int, ?column: string, ?groupColumns: [string]", func(c *value.Call) (value.Value, error) {
			by := c.Str("column", "_value")
			tables := c.Arg("tables")
			for _, step := range []struct {
				fn   string
				args map[string]value.Value
			}{
				{"group", map[string]value.Value{"columns": texts(c.Strings("groupColumns"))}},
				{reducer, map[string]value.Value{"column": value.OfString(by)}},
				{"group", map[string]value.Value{}},
			} {
				step.args["tables"] = tables
				var err error
				if tables, err = prelude(c, p, step.fn, step.args); err != nil {
					return tables, err
				}
			}
			return sortLimit(c, p, tables, []string{by}, desc)
		})
	}
	rank("highestMax", "max", true)
	rank("highestAverage", "mean", true)
	rank("highestCurrent", "last", true)
	rank("highestMin", "min", true)
	rank("lowestMin", "min", false)
	rank("lowestMax", "max", false)
	rank("lowestAverage", "mean", false)
	rank("lowestCurrent", "last", false)
}
